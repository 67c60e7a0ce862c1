package auth

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// lapse is the time after which a rotatingProvider ends an unused grant: shorter than at
// any provider, and longer than an outage or two.
const lapse = 14 * 24 * time.Hour

// A rotatingProvider is a provider of many accounts that rotates refresh tokens. It ends a
// grant when an administrator revokes it, when a refresh token is used again, and when it
// is not used.
type rotatingProvider struct {
	mu      sync.Mutex
	down    bool
	serial  int
	current map[string]string    // refresh tokens by account
	ended   map[string]bool      // grants, by account
	used    map[string]time.Time // when, by account
	ends    map[string]time.Time // when, by access token
}

func newRotatingProvider() *rotatingProvider {
	return &rotatingProvider{
		current: make(map[string]string),
		ended:   make(map[string]bool),
		used:    make(map[string]time.Time),
		ends:    make(map[string]time.Time),
	}
}

// fail begins or ends an outage.
func (m *rotatingProvider) fail(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// grant returns the grant of a person's consent.
func (m *rotatingProvider) grant(account string) oauth.Grant {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[account] = false
	access := m.issue(account)
	return oauth.Grant{AccessToken: access, RefreshToken: m.current[account], Expiry: m.ends[access], Obtained: time.Now().Round(0)}
}

// issue replaces both tokens. The caller holds mu.
func (m *rotatingProvider) issue(account string) (access string) {
	m.serial++
	access = fmt.Sprintf("token%d", m.serial)
	m.current[account] = fmt.Sprintf("%s/%d", account, m.serial)
	m.used[account] = time.Now()
	m.ends[access] = time.Now().Add(life(account))
	return access
}

// life is that of the account's access tokens: providers differ.
func life(account string) time.Duration {
	if strings.HasSuffix(account, "1") {
		return time.Hour
	}
	return 4 * time.Hour
}

func (m *rotatingProvider) answer(_ int, form url.Values) (int, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return []int{0, 503, 429, 200}[m.serial%4], "<html>maintenance</html>"
	}
	refresh := form.Get("refresh_token")
	account, _, _ := strings.Cut(refresh, "/")
	if refresh != m.current[account] || time.Since(m.used[account]) > lapse {
		m.ended[account] = true
	}
	if m.ended[account] {
		return 400, tokenserver.Withdrawn
	}
	access := m.issue(account)
	return 200, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":%d}`,
		access, m.current[account], int(life(account).Seconds()))
}
