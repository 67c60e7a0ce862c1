package auth

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestToken(t *testing.T) {
	down, no, misconfigured := tokenserver.Always(0, ""), tokenserver.Always(400, tokenserver.Withdrawn), tokenserver.Always(401, tokenserver.BadClient)
	aged := func(age time.Duration) func() oauth.Grant { return func() oauth.Grant { return granted(age) } }
	short := func(age time.Duration) func() oauth.Grant { // of four minutes
		return func() oauth.Grant {
			g := granted(age)
			g.Expiry = g.Obtained.Add(4 * time.Minute)
			return g
		}
	}
	unrefreshable := func(age time.Duration) func() oauth.Grant {
		return func() oauth.Grant {
			g := granted(age)
			g.RefreshToken = ""
			return g
		}
	}
	marked := func() oauth.Grant {
		g := granted(0)
		g.Withdrawn = "no more"
		return g
	}
	tests := []struct {
		name   string
		grant  func() oauth.Grant
		stale  string
		answer func(int, url.Values) (int, string)
		want   string
		err    oauth.Kind // if want is empty
	}{
		{"fresh", aged(0), "", no, "token0", 0},
		{"fresh enough", aged(54 * time.Minute), "", no, "token0", 0},
		{"about to end", aged(56 * time.Minute), "", tokenserver.Numbered, "token1", 0},
		{"about to end, provider down", aged(56 * time.Minute), "", down, "token0", 0},
		{"about to end, registration refused", aged(56 * time.Minute), "", misconfigured, "token0", 0},
		{"about to end, consent withdrawn", aged(56 * time.Minute), "", no, "", oauth.NeedsConsent},
		{"about to end, provider down, refused by the server", aged(56 * time.Minute), "token0", down, "", oauth.Temporary},
		{"short-lived, before half of its life", short(time.Minute), "", no, "token0", 0},
		{"short-lived, after half of its life", short(3 * time.Minute), "", tokenserver.Numbered, "token1", 0},
		{"ended", aged(time.Hour), "", tokenserver.Numbered, "token1", 0},
		{"ended, provider down", aged(time.Hour), "", down, "", oauth.Temporary},
		{"ended, registration refused", aged(time.Hour), "", misconfigured, "", oauth.Misconfigured},
		{"ended, consent withdrawn", aged(time.Hour), "", no, "", oauth.NeedsConsent},
		{"ended while the machine slept", aged(9 * time.Hour), "", tokenserver.Numbered, "token1", 0},
		{"from a clock that was ahead", aged(-400 * 24 * time.Hour), "", tokenserver.Numbered, "token1", 0},
		{"from a clock that was ahead, provider down", aged(-400 * 24 * time.Hour), "", down, "", oauth.Temporary},
		{"from a clock that was a little ahead", aged(-30 * time.Second), "", no, "token0", 0},
		{"refused by the server", aged(0), "token0", tokenserver.Numbered, "token1", 0},
		{"refused, but replaced since", aged(0), "token-1", no, "token0", 0},
		{"refused, and sent again", aged(0), "token0", tokenserver.Always(200, `{"access_token":"token0"}`), "", oauth.Temporary},
		{"never authorized", func() oauth.Grant { return oauth.Grant{} }, "", tokenserver.Numbered, "", oauth.NeedsConsent},
		{"withdrawn before the start", marked, "", no, "", oauth.NeedsConsent},
		{"withdrawn before the start, and granted again", marked, "", tokenserver.Numbered, "token1", 0},
		{"withdrawn before the start, provider down", marked, "", down, "", oauth.NeedsConsent},
		{"without refresh token", unrefreshable(58 * time.Minute), "", no, "token0", 0},
		{"without refresh token, refused by the server", unrefreshable(0), "token0", no, "", oauth.NeedsConsent},
		{"without refresh token, ended", unrefreshable(2 * time.Hour), "", no, "", oauth.NeedsConsent},
		{"only a refresh token", func() oauth.Grant { return oauth.Grant{RefreshToken: "refresh0"} }, "", tokenserver.Numbered, "token1", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := tt.grant()
				s := &tokenserver.Server{Answer: tt.answer}
				a := testAccount(t, s, g)
				got, err := a.Token(t.Context(), tt.stale)
				if got != tt.want {
					t.Errorf("token = %q, %v; want %q", got, err, tt.want)
				}
				var e *oauth.Error
				if tt.want == "" && (!errors.As(err, &e) || e.Kind != tt.err) {
					t.Errorf("err = %#v, want %v", err, tt.err)
				}
				if !g.Empty() && onDisk(t, a).RefreshToken != g.RefreshToken {
					t.Error("the refresh token is gone")
				}
			})
		})
	}
}

// A person consented while the clock was ahead: one refresh makes up for it.
func TestClockWasAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(-400*24*time.Hour))
		for range 3 {
			if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil {
				t.Errorf("token = %q, %v", token, err)
			}
		}
	})
}

// expired is an account that cannot log in without a refresh.
func expired(t *testing.T, s *tokenserver.Server) *Account {
	return testAccount(t, s, granted(time.Hour))
}

func TestManyCallersOneRefresh(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(int, url.Values) (int, string)
		token  string
		kind   oauth.Kind
	}{
		"success is shared": {tokenserver.Numbered, "token1", 0},
		"failure is shared": {tokenserver.Always(503, ""), "", oauth.Temporary},
		"refusal is shared": {tokenserver.Always(400, tokenserver.Withdrawn), "", oauth.NeedsConsent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenserver.Server{Answer: tt.answer, Latency: time.Second}
				a := expired(t, s)
				var all sync.WaitGroup
				for range 1000 {
					all.Go(func() {
						token, err := a.Token(t.Context(), "")
						var e *oauth.Error
						if token != tt.token || token == "" && (!errors.As(err, &e) || e.Kind != tt.kind) {
							t.Errorf("token = %q, %v", token, err)
						}
					})
				}
				start := time.Now()
				all.Wait()
				if d := time.Since(start); s.Count() != 1 || d != time.Second {
					t.Errorf("%d requests, %v", s.Count(), d)
				}
			})
		})
	}
}

func TestOthersNeedNotWaitWhileTheTokenLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered, Latency: time.Second}, granted(58*time.Minute))
		go a.Token(t.Context(), "")
		synctest.Wait()
		start := time.Now()
		if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil || time.Since(start) != 0 {
			t.Errorf("token = %q, %v, after %v", token, err, time.Since(start))
		}
		if token, err := a.Token(t.Context(), "token0"); token != "token1" || err != nil {
			t.Errorf("refused by the server: token = %q, %v", token, err)
		}
	})
}

func TestRefreshOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := expired(t, &tokenserver.Server{Latency: 5 * time.Second, Answer: tokenserver.Always(200, `{"access_token":"token1","refresh_token":"refresh1"}`)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := a.Token(ctx, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("err = %v after %v", err, time.Since(start))
		}
		if err := a.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("Wait returned after %v", d)
		}
		if g := onDisk(t, a); g.RefreshToken != "refresh1" || g.AccessToken != "token1" {
			t.Errorf("on disk: %+v", g)
		}
	})
}

func TestWaitCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := expired(t, &tokenserver.Server{Answer: tokenserver.Numbered, Latency: 5 * time.Second})
		go a.Token(t.Context(), "")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		if err := a.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestKeepDuringRefresh(t *testing.T) {
	for name, answer := range map[string]func(int, url.Values) (int, string){
		"that succeeds":   tokenserver.Always(200, `{"access_token":"old","refresh_token":"old"}`),
		"that fails":      tokenserver.Always(503, ""),
		"that is refused": tokenserver.Always(400, tokenserver.Withdrawn),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := expired(t, &tokenserver.Server{Answer: answer, Latency: 5 * time.Second})
				start := time.Now()
				type result struct {
					token string
					err   error
					after time.Duration
				}
				waiter := make(chan result, 1)
				go func() {
					token, err := a.Token(t.Context(), "")
					waiter <- result{token, err, time.Since(start)}
				}()
				time.Sleep(time.Second) // of the virtual clock, amid the refresh
				g := granted(0)
				g.AccessToken, g.RefreshToken = "new", "new-refresh"
				if err := a.Keep(g); err != nil {
					t.Fatal(err)
				}
				if got, want := <-waiter, (result{"new", nil, time.Second}); got != want {
					t.Errorf("waiter got %+v, want %+v", got, want)
				}
				time.Sleep(10 * time.Second) // the answer comes, too late
				if token, err := a.Token(t.Context(), ""); token != "new" || err != nil {
					t.Errorf("token = %q, %v", token, err)
				}
				if onDisk(t, a).RefreshToken != "new-refresh" {
					t.Error("the late answer has overwritten the newer grant")
				}
				if s := a.Status(); s.State != Authorized || s.Why != "" {
					t.Errorf("status = %+v", s)
				}
			})
		})
	}
}

func TestKeepLiftsEverything(t *testing.T) {
	for name, answer := range map[string]func(int, url.Values) (int, string){
		"backoff":       tokenserver.Always(503, ""),
		"withdrawal":    tokenserver.Always(400, tokenserver.Withdrawn),
		"misconfigured": tokenserver.Always(401, tokenserver.BadClient),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := expired(t, &tokenserver.Server{Answer: tokenserver.In(2, answer, tokenserver.Numbered)})
				if _, err := a.Token(t.Context(), ""); err == nil {
					t.Fatal("no error")
				}
				if err := a.Keep(granted(time.Hour)); err != nil { // ended already, so it must be refreshed
					t.Fatal(err)
				}
				if token, err := a.Token(t.Context(), ""); token != "token2" || err != nil {
					t.Errorf("token = %q, %v", token, err)
				}
			})
		})
	}
}

// A provider that was not asked for a refresh token, or that gave one before,
// gives a grant of an hour.
func TestKeepWithoutRefreshToken(t *testing.T) {
	short := granted(0)
	short.AccessToken, short.RefreshToken = "short", ""
	ended, marked := granted(time.Hour), granted(time.Hour)
	marked.Withdrawn = "no more"
	for _, tt := range []struct {
		name    string
		earlier oauth.Grant
		want    string // the access token on disk
		err     error
	}{
		{"before one that can be refreshed", ended, "token0", ErrEarlierKept},
		{"after one that was withdrawn", marked, "short", nil},
		{"after another without one", short, "short", nil},
		{"as the first", oauth.Grant{}, "short", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, tt.earlier)
			if err := a.Keep(short); !errors.Is(err, tt.err) {
				t.Errorf("err = %v, want %v", err, tt.err)
			}
			if g := onDisk(t, a); g.AccessToken != tt.want || (g.RefreshToken != "") != (tt.err != nil) {
				t.Errorf("on disk: %+v, want %s", g, tt.want)
			}
			if token, err := a.Token(t.Context(), ""); err != nil || (token == "short") != (tt.err == nil) {
				t.Errorf("token = %q, %v", token, err)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	marked := granted(0)
	marked.Withdrawn = "no more"
	unrefreshable := granted(2 * time.Hour)
	unrefreshable.RefreshToken = ""
	down := tokenserver.Always(503, "")
	for _, tt := range []struct {
		name   string
		grant  oauth.Grant
		answer func(int, url.Values) (int, string)
		state  State
		why    string
	}{
		{"fresh", granted(0), down, Authorized, ""},
		{"refreshed", granted(time.Hour), tokenserver.Numbered, Authorized, ""},
		{"about to end, provider down", granted(58 * time.Minute), down, Authorized, "token endpoint: HTTP status 503"},
		{"ended, provider down", granted(time.Hour), down, Failing, "token endpoint: HTTP status 503"},
		{"ended, registration refused", granted(time.Hour), tokenserver.Always(401, tokenserver.BadClient), Failing, "token endpoint: invalid_client"},
		{"never authorized", oauth.Grant{}, tokenserver.Numbered, NeedsAuthorization, "the account has never been authorized"},
		{"withdrawn", marked, down, NeedsAuthorization, "no more"},
		{"ended, and cannot be refreshed", unrefreshable, down, NeedsAuthorization, oauth.NoRefreshToken().Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := testAccount(t, &tokenserver.Server{Answer: tt.answer}, tt.grant)
			a.Token(t.Context(), "")
			s := a.Status()
			if s.State != tt.state || s.Why != tt.why {
				t.Errorf("status = %+v, want %q, %q", s, tt.state, tt.why)
			}
			if !s.Obtained.Equal(tt.grant.Obtained) || s.Expiry.IsZero() != tt.grant.Empty() || s.Refreshed.IsZero() != (tt.name != "refreshed") {
				t.Errorf("status = %+v of %+v", s, tt.grant)
			}
		})
	}
}

// One refusal by the mail server must not end what cannot be refreshed.
func TestRefusedWithoutRefreshToken(t *testing.T) {
	g := granted(0)
	g.RefreshToken = ""
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, g)
	if _, err := a.Token(t.Context(), "token0"); !errors.Is(err, oauth.ErrNeedsAuthorization) {
		t.Errorf("err = %v", err)
	}
	if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil || onDisk(t, a).Withdrawn != "" {
		t.Errorf("token = %q, %v; on disk %+v", token, err, onDisk(t, a))
	}
}

func TestDamagedFile(t *testing.T) {
	s := &tokenserver.Server{Answer: tokenserver.Numbered}
	a := testAccount(t, s, granted(time.Hour))
	path := filepath.Join(a.store.Dir(), "joe.json")
	writeFile(t, path, "{", 0o600)
	a = NewAccount("joe", a.provider, oauth.Consent{}, a.store, nil)
	t.Cleanup(func() { a.Wait(context.WithoutCancel(t.Context())) })

	if _, err := a.Token(t.Context(), ""); err == nil || !errors.Is(err, oauth.ErrNeedsAuthorization) || !strings.Contains(err.Error(), path) {
		t.Errorf("err = %v, want one that names the file", err)
	}
	if st := a.Status(); st.State != NeedsAuthorization || !strings.Contains(st.Why, path) {
		t.Errorf("status = %+v", st)
	}
	if readFile(t, path) != "{" || s.Count() != 0 {
		t.Error("the file or the provider has been touched")
	}
	if err := a.Keep(granted(0)); err != nil {
		t.Fatal(err)
	}
	if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil {
		t.Errorf("after a new authorization: token = %q, %v", token, err)
	}
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 || readFile(t, aside[0]) != "{" {
		t.Errorf("put aside: %q, %v", aside, err)
	}
}
