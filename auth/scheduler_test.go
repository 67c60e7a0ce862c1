package auth

import (
	"context"
	"errors"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestDueIn(t *testing.T) {
	const never = -1
	idle := 20 * time.Hour
	tests := []struct {
		name   string
		change func(a *Account, now time.Time)
		least  time.Duration // with the least jitter
		most   time.Duration // with the most
	}{
		{"in use", func(*Account, time.Time) {}, 30 * time.Minute, 36 * time.Minute},
		{"in use, half of its life later", func(a *Account, now time.Time) { a.grant = granted(30 * time.Minute) }, 0, 6 * time.Minute},
		{"in use, ended", func(a *Account, now time.Time) { a.grant = granted(2 * time.Hour) }, -90 * time.Minute, -84 * time.Minute},
		{"in use once a day", func(a *Account, now time.Time) { a.state(oauth.Mail).used = now.Add(-25 * time.Hour) }, 30 * time.Minute, 36 * time.Minute},
		{"in use, of a long life", func(a *Account, now time.Time) { a.grant.Expiry = now.Add(24 * time.Hour) }, 12 * time.Hour, 12*time.Hour + 144*time.Minute},
		{"in use, of a short life", func(a *Account, now time.Time) { a.grant.Expiry = now.Add(10 * time.Minute) }, idle, 24 * time.Hour},
		{"not in use", func(a *Account, now time.Time) { a.state(oauth.Mail).used = now.Add(-27 * time.Hour) }, idle, 24 * time.Hour},
		{"refreshed since", func(a *Account, now time.Time) {
			a.grant = granted(2 * time.Hour)
			a.grant.Refreshed, a.grant.Expiry = now.Add(-time.Minute), now.Add(59*time.Minute)
		}, 29 * time.Minute, 35 * time.Minute},
		{"only a refresh token", func(a *Account, now time.Time) { a.grant.AccessToken, a.grant.Expiry = "", time.Time{} }, 0, 0},
		{"from a clock that was ahead", func(a *Account, now time.Time) { a.grant = granted(-time.Hour) }, 0, 0},
		{"from a clock that was a little ahead", func(a *Account, now time.Time) { a.grant = granted(-30 * time.Second) }, 30*time.Minute + 30*time.Second, 36*time.Minute + 30*time.Second},
		{"failed, half of its life later", func(a *Account, now time.Time) {
			a.grant = granted(40 * time.Minute)
			a.state(oauth.Mail).failure, a.state(oauth.Mail).retry = &oauth.Error{Kind: oauth.Temporary}, now.Add(time.Minute)
		}, time.Minute, time.Minute},
		{"failed before half of its life", func(a *Account, now time.Time) {
			a.state(oauth.Mail).failure, a.state(oauth.Mail).retry = &oauth.Error{Kind: oauth.Temporary}, now.Add(time.Minute)
		}, time.Minute, time.Minute},
		{"of a registration that is refused", func(a *Account, now time.Time) {
			a.grant = granted(2 * time.Hour)
			a.state(oauth.Mail).asked, a.state(oauth.Mail).failure, a.state(oauth.Mail).retry = now, &oauth.Error{Kind: oauth.Misconfigured}, now.Add(time.Minute)
		}, time.Hour, time.Hour},
		{"withdrawn", func(a *Account, now time.Time) {
			a.grant = granted(2 * time.Hour)
			a.grant.Withdrawn = "no more"
			a.state(oauth.Mail).asked, a.state(oauth.Mail).failure, a.state(oauth.Mail).retry = now, &oauth.Error{Kind: oauth.NeedsConsent}, now.Add(15*time.Minute)
		}, idle, 24 * time.Hour},
		{"withdrawn before the start", func(a *Account, now time.Time) {
			a.grant.Withdrawn = "no more"
			a.state(oauth.Mail).asked = now.Add(-time.Hour)
		}, 19 * time.Hour, 23 * time.Hour},
		{"never authorized", func(a *Account, _ time.Time) { a.grant = oauth.Grant{} }, never, never},
		{"without refresh token", func(a *Account, _ time.Time) { a.grant.RefreshToken = "" }, never, never},
		{"damaged", func(a *Account, _ time.Time) { a.damage = errors.New("damaged") }, never, never},
		{"being refreshed", func(a *Account, _ time.Time) { a.refreshing = &refresh{} }, never, never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for jitter, want := range map[float64]time.Duration{0: tt.least, 1: tt.most} {
					now := time.Now()
					a := &Account{flow: oauth.Consent{}, grant: granted(0), jitter: jitter}
					a.state(oauth.Mail).used = now
					tt.change(a, now)
					d, ok := a.dueIn(now, oauth.Mail)
					if !ok {
						d = never
					}
					if d != want {
						t.Errorf("with jitter %v due in %v, want %v", jitter, d, want)
					}
				}
			})
		})
	}
}

// refreshing refreshes the accounts in the background until end is called.
func refreshing(t *testing.T, accounts ...*Account) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		RefreshAll(ctx, accounts)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// A refreshed token may be refused by the mail server at once: the refresh
// that follows is the first that is forced.
func TestRefusedAfterRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(50*time.Minute))
		defer refreshing(t, a)()
		synctest.Wait()
		for _, tt := range []struct{ stale, want string }{{"token0", "token1"}, {"token1", "token2"}} {
			if token, err := a.Token(t.Context(), tt.stale); token != tt.want || err != nil {
				t.Errorf("refused %s: token = %q, %v; want %s", tt.stale, token, err, tt.want)
			}
		}
	})
}

func TestRefreshes(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name        string
		change      func(*oauth.Grant)
		answer      func(int, url.Values) (int, string)
		least, most int // requests, in the last two of four days
		state       State
	}{
		{"not in use", nil, tokenserver.Numbered, 1, 3, Authorized},
		{"withdrawn", nil, tokenserver.Always(400, tokenserver.Withdrawn), 1, 3, NeedsAuthorization},
		{"withdrawn, and granted again", nil, tokenserver.In(2, tokenserver.Always(400, tokenserver.Withdrawn), tokenserver.Numbered), 1, 3, Authorized},
		{"registration refused", nil, tokenserver.Always(401, tokenserver.BadClient), 40, 49, Failing},
		{"provider down", nil, tokenserver.Always(0, ""), 2200, 2880, Failing},
		{"never authorized", func(g *oauth.Grant) { *g = oauth.Grant{} }, tokenserver.Numbered, 0, 0, NeedsAuthorization},
		{"without refresh token", func(g *oauth.Grant) { g.RefreshToken = "" }, tokenserver.Numbered, 0, 0, NeedsAuthorization},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenserver.Server{Answer: tt.answer}
				g := granted(time.Hour)
				if tt.change != nil {
					tt.change(&g)
				}
				a := testAccount(t, s, g)
				inMemory(a.store) // thousands of refreshes
				defer refreshing(t, a)()
				time.Sleep(2 * day)
				before := s.Count()
				time.Sleep(2 * day)
				if n := s.Count() - before; n < tt.least || n > tt.most {
					t.Errorf("%d requests in two days", n)
				}
				if st := a.Status(); st.State != tt.state {
					t.Errorf("status = %+v", st)
				}
			})
		})
	}
}

func TestRefreshAllEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Latency: 5 * time.Second, Answer: tokenserver.Always(200, `{"access_token":"token1","refresh_token":"refresh1"}`)}, granted(40*time.Minute))
		end := refreshing(t, a)
		time.Sleep(time.Second) // amid the refresh
		start := time.Now()
		end()
		if d := time.Since(start); d != 0 {
			t.Errorf("RefreshAll ended after %v", d)
		}
		if err := a.Wait(t.Context()); err != nil || onDisk(t, a).RefreshToken != "refresh1" {
			t.Errorf("on disk: %+v, %v", onDisk(t, a), err)
		}
	})
}

// A grant that could not be saved is saved even if nobody logs in.
func TestRefreshAllSavesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Always(200, `{"access_token":"token1","refresh_token":"refresh1"}`)}, granted(time.Hour))
		fault := faultfs.Failing(a.store.Files, "write", syscall.ENOSPC)
		a.store.Files = fault
		defer refreshing(t, a)()
		synctest.Wait()
		if g := onDisk(t, a); g.RefreshToken != "refresh0" {
			t.Fatalf("saved, though the disk is full: %+v", g)
		}
		a.saving.Lock()
		fault.Step = ""
		a.saving.Unlock()
		time.Sleep(2 * wakeUp)
		synctest.Wait()
		if g := onDisk(t, a); g.RefreshToken != "refresh1" {
			t.Errorf("on disk: %+v", g)
		}
	})
}

// So is one that is never due: nobody logs in, and it cannot be refreshed.
func TestRefreshAllSavesWhatIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, oauth.Grant{})
		fault := faultfs.Failing(a.store.Files, "write", syscall.ENOSPC)
		a.store.Files = fault
		g := granted(0)
		g.RefreshToken = ""
		if err := a.Keep(g); !errors.Is(err, ErrNotSaved) {
			t.Fatalf("err = %v", err)
		}
		defer refreshing(t, a)()
		synctest.Wait()
		a.saving.Lock()
		fault.Step = ""
		a.saving.Unlock()
		time.Sleep(2 * wakeUp)
		synctest.Wait()
		if onDisk(t, a).AccessToken != "token0" || a.Status().Why != "" {
			t.Errorf("on disk: %+v; status = %+v", onDisk(t, a), a.Status())
		}
	})
}

// TestFailedRefreshIsRepeated: a refresh that failed before the token was due is tried
// again in the background, and the problem ends with the first success.
func TestFailedRefreshIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.In(3, tokenserver.Always(503, ""), tokenserver.Numbered)}, granted(0))
		defer refreshing(t, a)()
		time.Sleep(time.Second)
		if _, err := a.Token(t.Context(), "token0"); err == nil {
			t.Fatal("the refused token was replaced")
		}
		if s := a.Status(); len(s.Problems) != 1 || s.Problems[0].Part != PartProvider || s.State != Authorized {
			t.Errorf("status = %+v", s)
		}
		time.Sleep(3 * time.Minute)
		if s := a.Status(); len(s.Problems) > 0 {
			t.Errorf("three minutes later: %+v", s)
		}
	})
}
