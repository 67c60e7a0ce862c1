package auth

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestLoginProblems: what the mail servers last said is part of the account's
// state, for each protocol, until a login succeeds there.
func TestLoginProblems(t *testing.T) {
	refuse := func(a *Account) { a.LoginFailed("smtp", ProblemRefused, "535 5.7.139 no", "Have it enabled.") }
	down := func(a *Account) { a.LoginFailed("smtp", ProblemUnavailable, "connection refused", "") }
	wait := func(d time.Duration) func(*Account) { return func(*Account) { time.Sleep(d) } }
	const refused = "upstream refused (SMTP): 535 5.7.139 no"
	const unavailable = "upstream unavailable (SMTP): connection refused"
	for _, tt := range []struct {
		name  string
		steps []func(*Account)
		state State
		why   string
		count int
	}{
		{"a login", []func(*Account){func(a *Account) { a.LoggedIn("smtp") }}, Authorized, "", 0},
		{"a refusal", []func(*Account){refuse}, Failing, refused, 1},
		{"refusals", []func(*Account){refuse, refuse, wait(time.Hour), refuse}, Failing, refused, 3},
		{"a refusal, a login", []func(*Account){refuse, func(a *Account) { a.LoggedIn("smtp") }}, Authorized, "", 0},
		{"a refusal, a login by another protocol", []func(*Account){refuse, func(a *Account) { a.LoggedIn("imap") }}, Failing, refused, 1},
		{"a fault", []func(*Account){down, wait(time.Hour)}, Authorized, unavailable, 1},
		{"faults within a moment", []func(*Account){down, wait(time.Minute), down, down}, Authorized, unavailable, 3},
		{"faults that last", []func(*Account){down, wait(lasting), down}, Failing, unavailable, 2},
		{"a refusal, a fault", []func(*Account){refuse, down}, Failing, refused, 1},
		{"faults, a refusal", []func(*Account){down, down, refuse}, Failing, refused, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
				for _, step := range tt.steps {
					step(a)
				}
				s := a.Status()
				if s.State != tt.state || s.Why != tt.why || (len(s.Problems) > 0) != (tt.why != "") {
					t.Fatalf("status = %+v, want %s, %q", s, tt.state, tt.why)
				}
				if tt.why == "" {
					return
				}
				p := s.Problems[0]
				if p.Part != "smtp" || p.Count != tt.count || p.Failing != (tt.state == Failing) || p.Since.IsZero() || p.Last.Before(p.Since) {
					t.Errorf("problem = %+v", p)
				}
				if s.Hint != p.Hint || (p.Kind == ProblemRefused) != (p.Hint == "Have it enabled.") {
					t.Errorf("hint = %q of %+v", s.Hint, p)
				}
			})
		})
	}
}

// TestProblemOrder: the provider's failure comes first, as it may be the cause of
// the others, and what keeps nobody out comes last.
func TestProblemOrder(t *testing.T) {
	parts := func(s Status) (all []string) {
		for _, p := range s.Problems {
			all = append(all, p.Part+" "+string(p.Kind))
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		g := granted(58 * time.Minute)
		g.Ends = time.Now().Add(time.Hour)
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.In(2, tokenserver.Always(503, ""), tokenserver.Always(401, tokenserver.BadClient))}, g)
		a.LoginFailed("smtp", ProblemRefused, "535 no", "")
		a.LoginFailed("imap", ProblemRefused, "NO no", "")
		a.LoginFailed("pop3", ProblemUnavailable, "no route", "")
		a.Token(t.Context(), "")
		s := a.Status()
		if got := parts(s); s.State != Failing || !slices.Equal(got, []string{
			"imap refused", "smtp refused", "pop3 unavailable", "provider unavailable", "provider ending"}) {
			t.Errorf("a temporary failure of the provider: %q", got)
		}
		time.Sleep(time.Hour)
		a.Token(t.Context(), "")
		s = a.Status()
		if got := parts(s); s.State != Failing || !slices.Equal(got, []string{
			"provider misconfigured", "imap refused", "smtp refused", "pop3 unavailable", "provider ending"}) {
			t.Errorf("a failure of the registration: %q", got)
		}
		if p := s.Problems[0]; p.Count != 1 || p.Text != "token endpoint: invalid_client" || p.Hint == "" {
			t.Errorf("problem = %+v", p)
		}
	})
}

// TestRefusedRegistration: an account whose provider does not take the client any
// more is failing before its last token has ended.
func TestRefusedRegistration(t *testing.T) {
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Always(401, tokenserver.BadClient)}, granted(58*time.Minute))
	if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil {
		t.Errorf("token = %q, %v", token, err)
	}
	if s := a.Status(); s.State != Failing || s.Why != "token endpoint: invalid_client" {
		t.Errorf("status = %+v", s)
	}
}
