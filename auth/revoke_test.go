package auth

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// revocable is an account with the grant g at a provider that takes grants back.
func revocable(t *testing.T, s *tokenserver.Server, g oauth.Grant) *Account {
	a := testAccount(t, s, g)
	a.provider.RevocationURL = "https://example.com/revoke"
	return a
}

// forgotten reports whether a has no grant, and says that ann revoked it, now and
// after a restart.
func forgotten(t *testing.T, a *Account) bool {
	t.Helper()
	_, err := a.store.Load(a.name)
	_, tokenErr := a.Token(t.Context(), "")
	says := errors.Is(tokenErr, oauth.ErrNeedsAuthorization) && errors.Is(tokenErr, oauth.ErrRevoked)
	for _, a := range []*Account{a, NewAccount(a.name, a.provider, oauth.Consent{}, a.store, nil)} {
		s := a.Status()
		says = says && s.State == NeedsAuthorization && strings.HasPrefix(s.Why, "the grant was revoked by ann on ") &&
			s.Obtained.IsZero() && s.Expiry.IsZero() && s.Identity == ""
	}
	return errors.Is(err, fs.ErrNotExist) && says
}

func TestRevoke(t *testing.T) {
	refreshable := func() oauth.Grant { return granted(0) }
	marked := func() oauth.Grant {
		g := granted(0)
		g.Withdrawn = "no more"
		return g
	}
	tokenOnly := func() oauth.Grant {
		g := granted(0)
		g.RefreshToken = ""
		return g
	}
	for _, tt := range []struct {
		name   string
		grant  func() oauth.Grant
		status int
		body   string
		told   bool
		err    string
	}{
		{"the provider takes it back", refreshable, 200, "", true, ""},
		{"it answers at length", refreshable, 200, `{"ok":true}`, true, ""},
		{"the grant was withdrawn before", marked, 200, "", true, ""},
		{"the provider knows that it was", marked, 400, `{"error":"invalid_token","error_description":"Token expired or revoked"}`, true, ""},
		{"there is no refresh token", tokenOnly, 200, "", true, ""},
		{"tokens of this type cannot be revoked", refreshable, 400, `{"error":"unsupported_token_type"}`, false, ""},
		{"the account was never authorized", func() oauth.Grant { return oauth.Grant{} }, 500, "", false, ""},
		{"network down", refreshable, 0, "", false, `Post "https://example.com/revoke": lookup example.com: no such host`},
		{"unavailable", refreshable, 503, "", false, "revocation endpoint: HTTP status 503"},
		{"registration refused", refreshable, 401, tokenserver.BadClient, false, "revocation endpoint: invalid_client"},
		{"redirect", refreshable, 302, "", false, "revocation endpoint: HTTP status 302"},
		{"an answer that quotes the request", refreshable, 400, `{"error":"invalid_request","error_description":"token=refresh0"}`, false, "revocation endpoint: invalid_request: token=(hidden)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenserver.Server{Answer: tokenserver.Always(tt.status, tt.body), Header: http.Header{"Retry-After": {"120"}}}
				g := tt.grant()
				a := revocable(t, s, g)
				told, err := a.Revoke(t.Context(), "ann")
				if told != tt.told {
					t.Errorf("told = %v", told)
				}
				if tt.err == "" && !g.Empty() && (err != nil || !forgotten(t, a)) {
					t.Errorf("err = %v, status = %+v", err, a.Status())
				}
				if tt.err != "" {
					var e *oauth.Error
					if !errors.As(err, &e) || err.Error() != tt.err || tt.status == 503 && e.RetryAfter != 2*time.Minute {
						t.Errorf("err = %#v, want %s", err, tt.err)
					}
					if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil || onDisk(t, a).RefreshToken != "refresh0" {
						t.Errorf("afterwards: %q, %v", token, err)
					}
				}
				if g.Empty() {
					if s := a.Status(); err != nil || s.Why != "the account has never been authorized" {
						t.Errorf("err = %v, status = %+v", err, s)
					}
					return
				}
				sent := s.Requests[0]
				want := url.Values{"client_id": {"client"}, "client_secret": {"client-secret"}, "token": {"refresh0"}, "token_type_hint": {"refresh_token"}}
				if g.RefreshToken == "" {
					want["token"], want["token_type_hint"] = []string{"token0"}, []string{"access_token"}
				}
				if sent.Encode() != want.Encode() || s.Count() != 1 {
					t.Errorf("sent %v, want %v", sent, want)
				}
			})
		})
	}
}

func TestRevokeWithoutEndpoint(t *testing.T) {
	s := &tokenserver.Server{Answer: tokenserver.Always(500, "")}
	a := testAccount(t, s, granted(0))
	if told, err := a.Revoke(t.Context(), "ann"); told || err != nil || !forgotten(t, a) || s.Count() != 0 {
		t.Errorf("told = %v, %v after %d requests", told, err, s.Count())
	}
}

// Which token the provider should be told of is in a file that cannot be read.
func TestRevokeWhatCannotBeRead(t *testing.T) {
	store := openStore(t, stateDir(t))
	path := filepath.Join(store.Dir(), "joe.json")
	writeFile(t, path, "{", 0o600)
	p := newProvider(&tokenserver.Server{Answer: tokenserver.Always(200, "")})
	p.RevocationURL = "https://example.com/revoke"
	a := NewAccount("joe", p, oauth.Consent{}, store, nil)
	if told, err := a.Revoke(t.Context(), "ann"); told || err == nil || !strings.Contains(err.Error(), "the file is damaged") || readFile(t, path) != "{" {
		t.Errorf("told = %v, %v", told, err)
	}
	if !a.Granted() {
		t.Error("there is nothing to forget")
	}
	if err := a.Forget("ann"); err != nil || !forgotten(t, a) || a.Granted() {
		t.Errorf("Forget: %v, status = %+v", err, a.Status())
	}
}

// The refresh that is under way may put another refresh token in the place of
// the one that is there; it is the new one that must be revoked.
func TestRevokeWaitsForRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Latency: 5 * time.Second, Answer: func(_ int, form url.Values) (int, string) {
			if form.Has("grant_type") {
				return 200, `{"access_token":"token1","refresh_token":"refresh1"}`
			}
			return 200, ""
		}}
		a := revocable(t, s, granted(time.Hour))
		go a.Token(t.Context(), "")
		synctest.Wait()
		if told, err := a.Revoke(t.Context(), "ann"); !told || err != nil || !forgotten(t, a) {
			t.Errorf("told = %v, %v", told, err)
		}
		if s.Count() != 2 || s.Requests[1].Get("token") != "refresh1" {
			t.Errorf("sent %v", s.Requests)
		}
	})
}

// TestTokenDuringRevoke checks that no caller refreshes a grant during its revocation, and
// that callers wait for its end. The present token stays in use until then.
func TestTokenDuringRevoke(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   string
	}{
		{200, "the grant was revoked by ann on 1 January 2000 at 00:00 UTC"},
		{503, "the grant was about to be revoked; try again"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &tokenserver.Server{Latency: 5 * time.Second, Answer: tokenserver.Always(tt.status, "")}
			a := revocable(t, s, granted(0))
			go a.Revoke(t.Context(), "ann")
			synctest.Wait()
			if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil {
				t.Errorf("token = %q, %v", token, err)
			}
			if _, err := a.Token(t.Context(), "token0"); err == nil || err.Error() != tt.want {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
			if s.Count() != 1 {
				t.Errorf("%d requests", s.Count())
			}
		})
	}
}

func TestKeepDuringRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := revocable(t, &tokenserver.Server{Latency: 5 * time.Second, Answer: tokenserver.Always(200, "")}, granted(0))
		time.AfterFunc(time.Second, func() {
			g := granted(0)
			g.AccessToken, g.RefreshToken = "new", "new"
			if err := a.Keep(g); err != nil {
				t.Error(err)
			}
		})
		if told, err := a.Revoke(t.Context(), "ann"); !told || !errors.Is(err, errKeptMeanwhile) {
			t.Errorf("told = %v, %v", told, err)
		}
		if token, err := a.Token(t.Context(), ""); token != "new" || err != nil || onDisk(t, a).RefreshToken != "new" {
			t.Errorf("the new grant: %q, %v", token, err)
		}
	})
}

func TestRevokeCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := revocable(t, &tokenserver.Server{Latency: 5 * time.Second, Answer: tokenserver.Numbered}, granted(time.Hour))
		go a.Token(t.Context(), "")
		synctest.Wait()
		for _, name := range []string{"during a refresh", "during the call"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if told, err := a.Revoke(ctx, "ann"); told || err != context.DeadlineExceeded {
				t.Errorf("%s: told = %v, %v", name, told, err)
			}
			cancel()
			if err := a.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil {
				t.Errorf("%s: token = %q, %v", name, token, err)
			}
		}
	})
}

func TestForgetDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Latency: 5 * time.Second, Answer: tokenserver.Numbered}, granted(time.Hour))
		waiter := make(chan error, 1)
		go func() {
			_, err := a.Token(t.Context(), "")
			waiter <- err
		}()
		synctest.Wait()
		if err := a.Forget("ann"); err != nil {
			t.Fatal(err)
		}
		if err := <-waiter; !errors.Is(err, oauth.ErrNeedsAuthorization) {
			t.Errorf("err = %v", err)
		}
		time.Sleep(10 * time.Second)
		if !forgotten(t, a) {
			t.Errorf("status = %+v", a.Status())
		}
	})
}

func TestForgetCannotRemove(t *testing.T) {
	for _, step := range []string{"remove", "fsync of the folder"} {
		synctest.Test(t, func(t *testing.T) {
			a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
			fault := faultfs.Failing(a.store.Files, step, syscall.EROFS)
			a.store.Files = fault
			if err := a.Forget("ann"); !errors.Is(err, ErrNotRemoved) || !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "joe.json") {
				t.Errorf("%s: err = %v", step, err)
			}
			if _, err := a.Token(t.Context(), ""); !errors.Is(err, oauth.ErrNeedsAuthorization) {
				t.Errorf("%s: the account still has a token: %v", step, err)
			}
			synctest.Wait()
			fault.Step = ""
			time.Sleep(resaveAfter)
			a.Token(t.Context(), "")
			synctest.Wait()
			if !forgotten(t, a) {
				t.Errorf("%s: later %+v", step, a.Status())
			}
		})
	}
}

// An account that needs no person has nothing to give back, and gets another
// token when somebody wants one.
func TestRevokeAutomatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(500, "")}
		a := revocable(t, s, granted(0))
		a.flow = oauth.ClientCredentials{}
		if told, err := a.Revoke(t.Context(), "ann"); told || err != nil || s.Count() != 0 {
			t.Errorf("told = %v, %v", told, err)
		}
		if _, err := os.Stat(filepath.Join(a.store.Dir(), "joe.json")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file: %v", err)
		}
		if _, due := a.dueIn(time.Now(), oauth.Mail); due {
			t.Error("a token is asked for, though nobody needs one")
		}
	})
}

func TestRevokeAtRealServer(t *testing.T) {
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
		server, err := idp.New(idp.Config{
			Issuer: "http://127.0.0.1:1", ClientID: "client", ClientSecret: "client-secret",
			RedirectURLs: []string{"http://127.0.0.1:1180/callback"}, Users: []string{"joe@example.com"},
		})
		if err != nil {
			t.Fatal(err)
		}
		access, refresh, expiry, err := server.Issue("joe@example.com")
		if err != nil {
			t.Fatal(err)
		}
		a := testAccount(t, nil, oauth.Grant{AccessToken: access, RefreshToken: refresh, Expiry: expiry, Obtained: time.Now()})
		a.provider.Client.Transport = tokenserver.Handler{Handler: server}
		a.provider.OAuth.Endpoint.AuthStyle = style
		a.provider.RevocationURL = "http://127.0.0.1:1" + idp.RevokePath
		if told, err := a.Revoke(t.Context(), "ann"); !told || err != nil || !forgotten(t, a) {
			t.Errorf("told = %v, %v", told, err)
		}
		if _, good := server.User(access); good {
			t.Error("the access token is still good")
		}
	}
}
