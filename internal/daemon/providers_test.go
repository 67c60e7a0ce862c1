package daemon

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/proxy"
)

// TestUpstream checks what the hints need to know of the flow.
func TestUpstream(t *testing.T) {
	for _, test := range []struct {
		flow           flow.Flow
		mechanism      string
		withoutConsent bool
	}{
		{"authorization_code", "auto", false},
		{"device_code", "auto", false},
		{"client_credentials", "auto", true},
		{"service_account", "auto", true},
		{"command", "auto", true},
		{"app_password", "password", true},
	} {
		u := newUpstream(&config.Provider{Flow: test.flow, Mechanism: "auto"}, &config.Upstream{}, route{})
		if u.WithoutConsent != test.withoutConsent || u.Mechanism != test.mechanism {
			t.Errorf("%s: without consent %v, mechanism %s", test.flow, u.WithoutConsent, u.Mechanism)
		}
	}
}

// TestRoute checks that all connections to a provider use its proxy, and that errors do not
// have the password of the proxy.
func TestRoute(t *testing.T) {
	call := httptest.NewRequest(http.MethodPost, "https://login.example.com/token", nil)
	for _, test := range []struct {
		proxy   config.Secret
		through string // proxy of HTTP requests; empty: none
		mail    bool   // has a dial function
		err     string
	}{
		{"direct", "", false, ""},
		{"socks5://joe:s3cret@proxy.example.com", "socks5://joe:s3cret@proxy.example.com", true, ""},
		{"http://proxy.example.com", "http://proxy.example.com", true, ""},
		{"ftp://joe:s3cret@proxy.example.com", "", false, "not socks5://"},
		{"http://joe:s3cret@proxy.example.com:port", "", false, "not a URL"},
	} {
		way, err := newRoute(&config.Provider{Proxy: test.proxy})
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", test.proxy.Reveal(), err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		through, err := way.calls(call)
		if err != nil || (through == nil) != (test.through == "") || through != nil && through.String() != test.through || (way.mail != nil) != test.mail {
			t.Errorf("%s: calls through %v, %v, mail specially: %v", test.proxy.Reveal(), through, err, way.mail != nil)
		}
	}
}

// TestFamilies checks that config, oauth and proxy have the same names for families.
func TestFamilies(t *testing.T) {
	for family, known := range map[string][]string{
		config.FamilyGoogle:    {oauth.Google, proxy.Google},
		config.FamilyMicrosoft: {oauth.Microsoft, proxy.Microsoft},
		config.FamilyYahoo:     {oauth.Yahoo, proxy.Yahoo},
		config.FamilyApple:     {proxy.Apple},
	} {
		for _, name := range known {
			if name != family {
				t.Errorf("%q is %q elsewhere", family, name)
			}
		}
	}
}
