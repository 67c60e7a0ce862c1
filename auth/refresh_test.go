package auth

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// attempts logs in every step of the virtual clock for as long as told, and
// returns when the requests came.
func attempts(t *testing.T, a *Account, s *tokenserver.Server, stale func() string, step, length time.Duration) []time.Duration {
	t.Helper()
	start, seen := time.Now(), s.Count()
	var at []time.Duration
	for time.Since(start) < length {
		a.Token(t.Context(), stale())
		if n := s.Count(); n > seen {
			seen = n
			at = append(at, time.Since(start))
		}
		time.Sleep(step)
	}
	return at
}

func noneStale() string { return "" }

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(503, "")}
		at := attempts(t, expired(t, s), s, noneStale, 100*time.Millisecond, 5*time.Minute)
		want := []time.Duration{2, 4, 8, 16, 32, 60, 60}
		if len(at) < len(want)+1 {
			t.Fatalf("requests at %v", at)
		}
		for i, w := range want {
			w *= time.Second
			if d := at[i+1] - at[i]; d < w || d > w*5/4+100*time.Millisecond {
				t.Errorf("pause %d is %v, want %v and up to a quarter more", i, d, w)
			}
		}
	})
}

func TestFailureInBackoffIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(503, ""), Latency: time.Second}
		a := expired(t, s)
		_, first := a.Token(t.Context(), "")
		start := time.Now()
		_, second := a.Token(t.Context(), "")
		if first == nil || first != second || time.Since(start) != 0 {
			t.Errorf("first %v, then %v after %v", first, second, time.Since(start))
		}
	})
}

func TestBackoffBeginsAnewAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := tokenserver.Always(503, "")
		s := &tokenserver.Server{Answer: tokenserver.In(6, down, tokenserver.In(7, tokenserver.Numbered, down))}
		a := expired(t, s)
		attempts(t, a, s, noneStale, time.Second, 2*time.Minute) // fails five times, then succeeds
		time.Sleep(time.Hour)                                    // and the token ends
		at := attempts(t, a, s, noneStale, time.Second, 10*time.Second)
		if len(at) < 2 || at[1]-at[0] > 3*time.Second {
			t.Errorf("requests at %v, want a pause of 2 s", at)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"1":     2 * time.Second, // less than the own delay
		"300":   5 * time.Minute,
		"86400": 15 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &tokenserver.Server{Answer: tokenserver.Always(429, ""), Header: http.Header{"Retry-After": {header}}}
			at := attempts(t, expired(t, s), s, noneStale, time.Second, 20*time.Minute)
			if d := at[1] - at[0]; d < want || d > want+2*time.Second {
				t.Errorf("Retry-After: %s gives a pause of %v, want %v", header, d, want)
			}
		})
	}
}

func TestWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.In(4, tokenserver.Always(400, tokenserver.Withdrawn), tokenserver.Numbered)}
		a := expired(t, s)
		if _, err := a.Token(t.Context(), ""); !errors.Is(err, oauth.ErrNeedsAuthorization) {
			t.Fatalf("err = %v", err)
		}
		g := onDisk(t, a)
		if g.RefreshToken != "refresh0" || g.AccessToken != "token0" || !strings.Contains(g.Withdrawn, "invalid_grant") {
			t.Errorf("on disk: %+v", g)
		}
		if st := a.Status(); st.State != NeedsAuthorization || st.Why != g.Withdrawn {
			t.Errorf("status = %+v", st)
		}
		at := attempts(t, a, s, noneStale, time.Second, 44*time.Minute)
		if len(at) != 2 || at[0] < 15*time.Minute-time.Second || at[1]-at[0] != 15*time.Minute {
			t.Errorf("asked again after %v, want every 15 minutes", at)
		}
		time.Sleep(2 * time.Minute)
		if token, err := a.Token(t.Context(), ""); token != "token4" || err != nil {
			t.Errorf("granted again: token = %q, %v", token, err)
		}
		if g := onDisk(t, a); g.Withdrawn != "" || a.Status().State != Authorized {
			t.Errorf("granted again, but marked: %+v", g)
		}
	})
}

func TestWithdrawnStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.In(2, tokenserver.Always(400, tokenserver.Withdrawn), tokenserver.Always(503, ""))}
		a := expired(t, s)
		at := attempts(t, a, s, noneStale, time.Second, time.Hour)
		if len(at) != 4 {
			t.Errorf("asked at %v, want every 15 minutes", at)
		}
		if _, err := a.Token(t.Context(), ""); !errors.Is(err, oauth.ErrNeedsAuthorization) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestMisconfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Always(401, tokenserver.BadClient)}
		a := expired(t, s)
		at := attempts(t, a, s, noneStale, time.Second, 3*time.Minute)
		if len(at) != 3 || at[1] != time.Minute || at[2] != 2*time.Minute {
			t.Errorf("asked at %v, want every minute", at)
		}
		if g := onDisk(t, a); g.Withdrawn != "" {
			t.Errorf("the grant is marked: %q", g.Withdrawn)
		}
	})
}

// The mail server refuses all that the provider gives: each login is refused
// with a token, asks for another, and is refused with that.
func TestForcedRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Numbered}
		a := testAccount(t, s, granted(0))
		at := attempts(t, a, s, func() string {
			token, err := a.Token(t.Context(), "")
			if err != nil {
				t.Error(err)
			}
			return token
		}, time.Second, 5*time.Minute)
		if len(at) != 5 || at[0] != 0 || at[1] != time.Minute {
			t.Errorf("refreshed at %v, want at once and then every minute", at)
		}
		time.Sleep(59 * time.Second)
		have, _ := a.Token(t.Context(), "")
		a.Token(t.Context(), have)
		have, _ = a.Token(t.Context(), "")
		time.Sleep(18 * time.Second)
		_, err := a.Token(t.Context(), have)
		if want := "the mail server refuses the access token; next refresh in 42 s"; err == nil || err.Error() != want || err.(*oauth.Error).Kind != oauth.Temporary {
			t.Errorf("err = %v, want %s", err, want)
		}
		if token, err := a.Token(t.Context(), "an older one"); token != have || err != nil {
			t.Errorf("token = %q, %v, want the one at hand", token, err)
		}
	})
}

func TestTwoSessionsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Numbered, Latency: time.Second}
		a := testAccount(t, s, granted(0))
		for range 2 {
			go func() {
				if token, err := a.Token(t.Context(), "token0"); token != "token1" || err != nil {
					t.Errorf("token = %q, %v", token, err)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		if token, err := a.Token(t.Context(), "token0"); token != "token1" || err != nil || s.Count() != 1 {
			t.Errorf("a third, later: token = %q, %v; %d requests", token, err, s.Count())
		}
	})
}

// TestRefreshFailureIsLogged: the message is constant, and the attributes tell the kinds
// of failure apart.
func TestRefreshFailureIsLogged(t *testing.T) {
	for want, answer := range map[string]func(int, url.Values) (int, string){
		`level=ERROR msg="token refresh failed" account=joe provider=mine kind=needs_authorization error=`: tokenserver.Always(400, `{"error":"invalid_grant"}`),
		`level=ERROR msg="token refresh failed" account=joe provider=mine kind=misconfigured error=`:       tokenserver.Always(401, tokenserver.BadClient),
		`level=WARN msg="token refresh failed" account=joe provider=mine kind=unavailable error=`:          tokenserver.Always(503, ""),
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			a := expired(t, &tokenserver.Server{Answer: answer})
			a.log = slog.New(slog.NewTextHandler(&log, nil)).With("account", "joe", "provider", "mine")
			a.Token(t.Context(), "")
			synctest.Wait()
			if said := log.String(); !strings.Contains(said, want) || !strings.Contains(said, " retry_seconds=") {
				t.Errorf("the log says %s, want %s", said, want)
			}
			if hinted := strings.Contains(log.String(), " hint="); hinted != (a.Status().Hint != "") {
				t.Errorf("the hint is not in the log: %s", &log)
			}
		})
	}
}
