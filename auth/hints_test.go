package auth

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// The hint is in the status, in the log, on disk for the next start, and goes
// with the failure.
func TestHintIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(400, tokenserver.Withdrawn)}
		var log bytes.Buffer
		a := testAccount(t, s, granted(time.Hour))
		a.provider.Family = oauth.Google
		a.log = slog.New(slog.NewTextHandler(&log, nil))
		a.Token(t.Context(), "")
		want := (&oauth.Provider{Family: oauth.Google}).Hint("invalid_grant", "expired or revoked")
		if got := a.Status().Hint; got != want {
			t.Errorf("hint = %q, want %q", got, want)
		}
		synctest.Wait() // for the line comes after the answer to the login
		if !strings.Contains(log.String(), `hint="`+want) {
			t.Errorf("logged: %s", log.String())
		}
		if got := NewAccount("joe", a.provider, oauth.Consent{}, a.store, nil).Status().Hint; got != want {
			t.Errorf("after a restart, hint = %q", got)
		}

		s.Answer = tokenserver.Always(503, "")
		time.Sleep(time.Hour)
		a.Token(t.Context(), "")
		if s := a.Status(); s.Hint != want || s.State != NeedsAuthorization {
			t.Errorf("while the provider is down: %+v", s)
		}
		s.Answer = tokenserver.Numbered
		time.Sleep(time.Hour)
		a.Token(t.Context(), "")
		if s := a.Status(); s.Hint != "" || onDisk(t, a).Hint != "" {
			t.Errorf("when all is well again: %+v", s)
		}

		s.Answer = tokenserver.Always(401, tokenserver.BadClient)
		time.Sleep(2 * time.Hour)
		a.Token(t.Context(), "")
		if s := a.Status(); s.Hint != new(oauth.Provider).Hint("invalid_client", "") || s.State != Failing {
			t.Errorf("when the registration is refused: %+v", s)
		}
	})
}

// TestGrantWithEnd: Google says beforehand that it will end a grant. Others say
// so of refresh tokens that each use renews.
func TestGrantWithEnd(t *testing.T) {
	for _, tt := range []struct {
		name, family, seconds string
		want                  time.Duration
	}{
		{"in Testing status", oauth.Google, "604799", 604799 * time.Second},
		{"published", oauth.Google, "null", 0},
		{"nonsense", oauth.Google, `"soon"`, 0},
		{"long ago", oauth.Google, "-1", 0},
		{"never", oauth.Google, "1e300", 0},
		{"another provider", "", "604799", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenserver.Server{Answer: tokenserver.Always(200, `{"access_token":"at","refresh_token":"rt","refresh_token_expires_in":`+tt.seconds+`}`)}
				a := testAccount(t, s, oauth.Grant{})
				a.provider.Family = tt.family
				g, err := a.provider.Exchange(t.Context(), "code1", "verifier1")
				if err != nil {
					t.Fatal(err)
				}
				a.Keep(g)
				s.Answer = tokenserver.Numbered
				time.Sleep(2 * time.Hour)
				a.Token(t.Context(), "")
				status := a.Status()
				if tt.want == 0 {
					if !status.Ends.IsZero() || status.Why != "" {
						t.Errorf("status = %+v", status)
					}
					return
				}
				if status.Ends.Sub(status.Obtained) != tt.want || status.State != Authorized ||
					!strings.Contains(status.Why, "ends this grant on 7 January 2000") || status.Hint != oauth.HintTesting {
					t.Errorf("status = %+v", status)
				}
			})
		})
	}
}

func TestGrantEndsInTesting(t *testing.T) {
	const day = 24 * time.Hour
	reauthenticate := `{"error":"invalid_grant","error_description":"reauth related error (invalid_rapt)"}`
	for _, tt := range []struct {
		name, family, answer string
		age                  time.Duration
		before               string // already withdrawn by
		testing              bool
	}{
		{"on the day", oauth.Google, tokenserver.Withdrawn, 7*day + time.Minute, "", true},
		{"found a day later", oauth.Google, tokenserver.Withdrawn, 8 * day, "", true},
		{"before", oauth.Google, tokenserver.Withdrawn, 6 * day, "", false},
		{"long after", oauth.Google, tokenserver.Withdrawn, 9 * day, "", false},
		{"withdrawn before", oauth.Google, tokenserver.Withdrawn, 8 * day, "no more", false},
		{"another provider", "", tokenserver.Withdrawn, 7*day + time.Minute, "", false},
		{"for another reason", oauth.Google, reauthenticate, 7*day + time.Minute, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := granted(tt.age)
				g.Withdrawn = tt.before
				a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Always(400, tt.answer)}, g)
				a.provider.Family = tt.family
				a.Token(t.Context(), "")
				if got := a.Status().Hint; (got == oauth.HintTesting) != tt.testing || got == "" {
					t.Errorf("hint = %q", got)
				}
				time.Sleep(30 * day) // it is asked for again, and the cause is the same
				a.Token(t.Context(), "")
				if got := a.Status().Hint; (got == oauth.HintTesting) != tt.testing {
					t.Errorf("a month later, hint = %q", got)
				}
			})
		})
	}
}

// TestIdentityStays checks that a refresh keeps the identity: its response has none.
func TestIdentityStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := granted(time.Hour)
		g.Identity = "joe@example.com"
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, g)
		if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil {
			t.Fatal(token, err)
		}
		if got := onDisk(t, a).Identity; got != "joe@example.com" || a.Status().Identity != got {
			t.Errorf("identity = %q, and %q in the status", got, a.Status().Identity)
		}
	})
}
