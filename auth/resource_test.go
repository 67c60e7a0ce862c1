package auth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

const sendScope = "https://graph.example.com/Mail.Send"

// A resourceServer is a provider whose tokens are each for one scope. It replaces the refresh
// token at each use, and ends the grant if one is used twice.
type resourceServer struct {
	mu      sync.Mutex
	current int                                          // number of the refresh token
	ended   bool                                         // because of a replay
	asked   map[string]int                               // requests by scope
	refuse  func(scope string) (status int, body string) // status 0 for no refusal
}

func (s *resourceServer) answer(_ int, form url.Values) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scope := form.Get("scope")
	if s.asked == nil {
		s.asked = make(map[string]int)
	}
	s.asked[scope]++
	if form.Get("grant_type") == "refresh_token" {
		s.ended = s.ended || form.Get("refresh_token") != fmt.Sprintf("refresh%d", s.current)
	}
	if s.ended {
		return 400, tokenserver.Withdrawn
	}
	if s.refuse != nil {
		if status, body := s.refuse(scope); status != 0 {
			return status, body
		}
	}
	s.current++
	name := scope[strings.LastIndex(scope, "/")+1:]
	return 200, fmt.Sprintf(`{"access_token":"%s.%d","refresh_token":"refresh%d","expires_in":3600,"scope":%q}`, name, s.current, s.current, scope)
}

func (s *resourceServer) requests(scope string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[scope]
}

// withGraph returns an account with the grant g of a provider that also has tokens for Graph.
func withGraph(t *testing.T, s *resourceServer, latency time.Duration, g oauth.Grant) *Account {
	t.Helper()
	a := testAccount(t, &tokenserver.Server{Answer: s.answer, Latency: latency}, g)
	a.provider.Resources = map[oauth.Resource][]string{oauth.Graph: {sendScope}}
	return a
}

func wantToken(t *testing.T, a *Account, r oauth.Resource, stale, want string) {
	t.Helper()
	if token, err := a.TokenFor(t.Context(), r, stale); token != want || err != nil {
		t.Errorf("%s: token %q, %v; want %q", r, token, err, want)
	}
}

// TestTokensByResource checks that one grant has a token for each resource, with its own
// expiry, that each request names the scopes of one resource, and that both tokens and the last
// refresh token survive a restart.
func TestTokensByResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, 0, granted(30*time.Minute))
		wantToken(t, a, oauth.Mail, "", "token0")
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		wantToken(t, a, oauth.Mail, "", "token0")
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		time.Sleep(30 * time.Minute) // the end of the first mail token
		wantToken(t, a, oauth.Mail, "", "mail.2")
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		wantToken(t, a, oauth.Graph, "Mail.Send.1", "Mail.Send.3")
		if g := onDisk(t, a); g.RefreshToken != "refresh3" || g.AccessToken != "mail.2" || g.Tokens[oauth.Graph].AccessToken != "Mail.Send.3" {
			t.Errorf("on disk: %+v", g)
		}
		after := NewAccount("joe", a.provider, oauth.Consent{}, a.store, nil)
		wantToken(t, after, oauth.Graph, "", "Mail.Send.3")
		wantToken(t, after, oauth.Mail, "", "mail.2")
		if s.requests("mail") != 1 || s.requests(sendScope) != 2 || len(s.asked) != 2 {
			t.Errorf("requests: %v", s.asked)
		}
		if _, err := a.TokenFor(t.Context(), oauth.Gmail, ""); err == nil || !strings.Contains(err.Error(), "token for gmail: the provider has no such resource") {
			t.Errorf("of a resource that is not configured: %v", err)
		}
	})
}

// TestOneRefreshAtATime checks that refreshes for several resources never use the same refresh
// token, and that each resource is refreshed once for all callers.
func TestOneRefreshAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, time.Second, granted(time.Hour))
		var callers sync.WaitGroup
		for i := range 40 {
			r, want := oauth.Mail, "mail."
			if i%2 == 0 {
				r, want = oauth.Graph, "Mail.Send."
			}
			callers.Go(func() {
				if token, err := a.TokenFor(t.Context(), r, ""); !strings.HasPrefix(token, want) || err != nil {
					t.Errorf("%s: %q, %v", r, token, err)
				}
			})
		}
		callers.Wait()
		if s.ended || s.requests("mail") != 1 || s.requests(sendScope) != 1 || onDisk(t, a).RefreshToken != "refresh2" {
			t.Errorf("replayed: %v, requests: %v, on disk: %+v", s.ended, s.asked, onDisk(t, a))
		}
	})
}

// TestResourceOfLater checks that an account whose grant lacks the scopes of a resource that
// was configured later says so by itself, and goes on with the other resource, until it is
// authorized again.
func TestResourceOfLater(t *testing.T) {
	for name, body := range map[string]string{
		"Microsoft": `{"error":"invalid_grant","error_description":"AADSTS65001: The user or administrator has not consented to use the application"}`,
		"Google":    `{"error":"invalid_scope","error_description":"Some requested scopes were invalid."}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(resourceServer)
				s.refuse = func(scope string) (int, string) {
					if scope == sendScope {
						return 400, body
					}
					return 0, ""
				}
				g := granted(0)
				g.Requested = "mail"
				a := withGraph(t, s, 0, g)
				end := refreshing(t, a)
				time.Sleep(time.Minute)
				st := a.Status()
				want := "Authorize the account again: it was authorized without the scope " + sendScope + "."
				if st.State != NeedsAuthorization || st.Hint != want || !strings.HasPrefix(st.Why, "token for graph: token endpoint: invalid_") || st.Problems[0].Resource != "graph" {
					t.Errorf("status = %+v", st)
				}
				if _, err := a.TokenFor(t.Context(), oauth.Graph, ""); !errors.Is(err, oauth.ErrNeedsAuthorization) {
					t.Errorf("err = %v", err)
				}
				if !a.Access().Usable {
					t.Error("the grant counts as unusable")
				}
				time.Sleep(2 * time.Hour)
				if token, err := a.Token(t.Context(), ""); err != nil || !strings.HasPrefix(token, "mail.") {
					t.Errorf("mail: %q, %v", token, err)
				}
				if n := s.requests(sendScope); n != 1 {
					t.Errorf("%d requests for graph", n)
				}
				end()

				s.refuse = nil
				next := granted(0)
				next.RefreshToken, next.Requested = fmt.Sprintf("refresh%d", s.current), "mail "+sendScope
				if err := a.Keep(next); err != nil {
					t.Fatal(err)
				}
				if token, err := a.TokenFor(t.Context(), oauth.Graph, ""); err != nil || !strings.HasPrefix(token, "Mail.Send.") || a.Status().State != Authorized {
					t.Errorf("authorized again: %q, %v, %+v", token, err, a.Status())
				}
			})
		})
	}
}

// TestResourceFailsAlone checks that the failures of one resource neither delay nor mark
// another one, whatever their kind.
func TestResourceFailsAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   oauth.Kind
		state  State
	}{
		"temporary":     {503, "", oauth.Temporary, Failing},
		"misconfigured": {400, `{"error":"invalid_scope"}`, oauth.Misconfigured, Failing},
		"consent":       {400, `{"error":"consent_required"}`, oauth.NeedsConsent, NeedsAuthorization},
		"not granted":   {200, `{"access_token":"at","scope":"openid User.Read"}`, oauth.NeedsConsent, NeedsAuthorization},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(resourceServer)
				g := granted(time.Hour)
				g.Requested = "mail " + sendScope
				a := withGraph(t, s, 0, g)
				s.refuse = func(scope string) (int, string) {
					if scope == sendScope {
						return tt.status, tt.body
					}
					return 0, ""
				}
				_, err := a.TokenFor(t.Context(), oauth.Graph, "")
				var e *oauth.Error
				if !errors.As(err, &e) || e.Kind != tt.kind || !strings.HasPrefix(err.Error(), "token for graph: ") {
					t.Fatalf("err = %#v", err)
				}
				if name == "not granted" && !strings.Contains(err.Error(), sendScope) {
					t.Errorf("the error does not name the scope: %v", err)
				}
				wantToken(t, a, oauth.Mail, "", "mail.1")
				if st := a.Status(); st.State != tt.state || len(st.Problems) != 1 || st.Problems[0].Resource != "graph" {
					t.Errorf("status = %+v", st)
				}
				if g := onDisk(t, a); g.Withdrawn != "" || g.RefreshToken != "refresh1" {
					t.Errorf("on disk: %+v", g)
				}
				s.refuse = nil
				time.Sleep(consentDelay)
				wantToken(t, a, oauth.Graph, "", "Mail.Send.2")
				if st := a.Status(); st.State != Authorized || st.Why != "" {
					t.Errorf("later: %+v", st)
				}
			})
		})
	}
}

// TestMailFailsAlone checks that a token of another resource is used to its end while the mail
// token cannot be refreshed, and that a grant that the provider has ended obtains no other.
func TestMailFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, 0, granted(time.Hour))
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		s.refuse = func(string) (int, string) { return 503, "" }
		if _, err := a.Token(t.Context(), ""); err == nil {
			t.Error("a mail token from a provider that is down")
		}
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		s.refuse = func(string) (int, string) { return 400, tokenserver.Withdrawn }
		time.Sleep(time.Minute)
		if _, err := a.Token(t.Context(), ""); !errors.Is(err, oauth.ErrNeedsAuthorization) {
			t.Errorf("mail: %v", err)
		}
		n := s.requests(sendScope)
		if _, err := a.TokenFor(t.Context(), oauth.Graph, ""); !errors.Is(err, oauth.ErrNeedsAuthorization) || s.requests(sendScope) != n {
			t.Errorf("graph: %v, %d requests", err, s.requests(sendScope)-n)
		}
	})
}

// TestRefusedByResource checks that a token that a resource refuses is replaced once, and then
// not before forcedDelay.
func TestRefusedByResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, 0, granted(0))
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		wantToken(t, a, oauth.Graph, "Mail.Send.1", "Mail.Send.2")
		_, err := a.TokenFor(t.Context(), oauth.Graph, "Mail.Send.2")
		if !errors.Is(err, oauth.ErrRefused) || !strings.HasPrefix(err.Error(), "graph refuses the access token") {
			t.Errorf("err = %v", err)
		}
		time.Sleep(forcedDelay)
		wantToken(t, a, oauth.Graph, "Mail.Send.2", "Mail.Send.3")
	})
}

// TestKeepDuringResourceRefresh checks that a new grant ends a refresh for another resource:
// its result is dropped, and its callers receive a token of the new grant.
func TestKeepDuringResourceRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, 2*time.Second, granted(0))
		results := make(chan string, 1)
		go func() {
			token, err := a.TokenFor(t.Context(), oauth.Graph, "")
			results <- fmt.Sprint(token, " ", err)
		}()
		time.Sleep(time.Second)
		next := granted(0)
		next.AccessToken, next.RefreshToken = "new", "refresh1" // the first refresh is answered later
		if err := a.Keep(next); err != nil {
			t.Fatal(err)
		}
		if got := <-results; !strings.HasPrefix(got, "Mail.Send.") || !strings.HasSuffix(got, "<nil>") {
			t.Errorf("the caller receives %s", got)
		}
		wantToken(t, a, oauth.Mail, "", "new")
	})
}

// TestAutomaticResources checks that flows without a person obtain a token for each resource,
// and only for those that are used.
func TestAutomaticResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, 0, oauth.Grant{})
		a = NewAccount("joe", a.provider, oauth.ClientCredentials{}, a.store, nil)
		defer refreshing(t, a)()
		wantToken(t, a, oauth.Graph, "", "Mail.Send.1")
		time.Sleep(10 * time.Hour)
		if s.requests("mail") != 0 || s.requests(sendScope) < 15 {
			t.Errorf("requests: %v", s.asked)
		}
		if token, err := a.Token(t.Context(), ""); !strings.HasPrefix(token, "mail.") || err != nil {
			t.Errorf("mail: %q, %v", token, err)
		}
	})
}

// TestIdleResource checks that a token of another resource that no login uses is not refreshed
// in the background.
func TestIdleResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(resourceServer)
		a := withGraph(t, s, 0, granted(0))
		end := refreshing(t, a)
		time.Sleep(10 * 24 * time.Hour)
		end()
		if n := s.requests(sendScope); n != 1 || s.requests("mail") < 10 || s.ended {
			t.Errorf("requests: %v, replayed: %v", s.asked, s.ended)
		}
		wantToken(t, a, oauth.Graph, "", fmt.Sprintf("Mail.Send.%d", s.current+1))
	})
}
