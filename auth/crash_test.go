package auth

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// A rotator is a provider that replaces the refresh token at each use. One
// that was used already ends the whole grant, unless it is forgiving.
type rotator struct {
	forgiving bool
	current   int
	revoked   bool
}

func (r *rotator) answer(_ int, form url.Values) (int, string) {
	n, err := strconv.Atoi(strings.TrimPrefix(form.Get("refresh_token"), "refresh"))
	if err != nil || n != r.current && !r.forgiving {
		r.revoked = true
	}
	if r.revoked {
		return 400, tokenserver.Withdrawn
	}
	r.current++
	return 200, fmt.Sprintf(`{"access_token":"token%d","refresh_token":"refresh%d"}`, r.current, r.current)
}

// A crash leaves the folder and the provider as they are at that moment, and
// the next daemon goes on from there. Only from the provider's answer until the new
// grant is written, as a whole, to the temporary file is there nothing that a client
// of a provider without mercy could do; the grant is then marked, and the account
// says why. No token was in use before.
func TestCrashBetweenAnyTwoSteps(t *testing.T) {
	for _, resource := range []oauth.Resource{oauth.Mail, oauth.Graph} {
		t.Run(string(resource), func(t *testing.T) { testCrashes(t, resource) })
	}
}

func testCrashes(t *testing.T, resource oauth.Resource) {
	withGraph := func(p *oauth.Provider) *oauth.Provider {
		p.Resources = map[oauth.Resource][]string{oauth.Graph: {sendScope}}
		return p
	}
	for _, forgiving := range []bool{true, false} {
		type crash struct {
			step     string
			dir      string
			provider rotator
		}
		var crashes []crash
		provider := &rotator{forgiving: forgiving}
		s := &tokenserver.Server{}
		a := expired(t, s)
		withGraph(a.provider)
		used := false
		note := func(step string) {
			dir := stateDir(t)
			copyPrivate(t, dir, a.store.Dir())
			if used {
				t.Errorf("%s: the token is in use already", step)
			}
			crashes = append(crashes, crash{step, dir, *provider})
		}
		s.Answer = func(n int, form url.Values) (int, string) {
			note("request")
			status, body := provider.answer(n, form)
			note("answer")
			return status, body
		}
		folder := a.store.Files
		a.store.Files = faultfs.Watch(folder, note)
		if token, err := a.TokenFor(t.Context(), resource, ""); token != "token1" || err != nil {
			t.Fatalf("token = %q, %v", token, err)
		}
		used = true
		a.store.Files = folder // the record that the refresh has ended is written later
		if len(crashes) != 16 {
			t.Fatalf("%d steps: %+v", len(crashes), crashes)
		}
		written := false // the new grant, as a whole
		for i, c := range crashes {
			beforeAnswer := i < 8 // 7 steps note that the refresh begins
			written = written || !beforeAnswer && c.step == "fsync"
			after := NewAccount("joe", withGraph(newProvider(&tokenserver.Server{Answer: c.provider.answer})), oauth.Consent{}, openStore(t, c.dir), nil)
			if written != (after.grant.RefreshToken == "refresh1") {
				t.Errorf("crash at %s (%d): the grant is %+v", c.step, i, after.grant)
			}
			if recovered := c.step != "fsync of the folder" && written; recovered != (len(after.store.Recovered()) == 1) {
				t.Errorf("crash at %s (%d): recovered %v", c.step, i, after.store.Recovered())
			}
			token, err := after.TokenFor(t.Context(), resource, "")
			if forgiving || written || beforeAnswer {
				if token == "" || err != nil {
					t.Errorf("crash at %s (%d): %v", c.step, i, err)
				}
				continue
			}
			if !errors.Is(err, oauth.ErrNeedsAuthorization) || onDisk(t, after).RefreshToken != "refresh0" {
				t.Errorf("crash at %s (%d): token = %q, %v", c.step, i, token, err)
			}
			if s := after.Status(); !strings.HasPrefix(s.Hint, "The provider's answer to the refresh of ") || !strings.Contains(s.Hint, "was lost: xoauthd was killed") {
				t.Errorf("crash at %s (%d): the hint is %q", c.step, i, s.Hint)
			}
		}
	}
}
