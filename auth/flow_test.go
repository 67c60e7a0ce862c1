package auth

import (
	"errors"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// flowAccount returns an account with a flow, and with the grant g on disk.
func flowAccount(t *testing.T, s *tokenserver.Server, f oauth.Flow, g oauth.Grant) *Account {
	t.Helper()
	a := testAccount(t, s, g)
	return NewAccount("joe", a.provider, f, a.store, a.log)
}

// flowToken is what an earlier flow left on disk.
func flowToken(age time.Duration) oauth.Grant {
	g := granted(age)
	return oauth.Grant{AccessToken: g.AccessToken, Expiry: g.Expiry, Refreshed: g.Obtained}
}

func TestAutomaticToken(t *testing.T) {
	down, no := tokenserver.Always(0, ""), tokenserver.Always(400, tokenserver.Withdrawn)
	marked := granted(0)
	marked.Withdrawn = "no more"
	for _, tt := range []struct {
		name   string
		grant  oauth.Grant
		stale  string
		answer func(int, url.Values) (int, string)
		want   string
		err    oauth.Kind // if want is empty
		state  State
	}{
		{"first", oauth.Grant{}, "", tokenserver.Numbered, "token1", 0, Authorized},
		{"from before a restart", flowToken(0), "", down, "token0", 0, Authorized},
		{"about to end", flowToken(56 * time.Minute), "", tokenserver.Numbered, "token1", 0, Authorized},
		{"about to end, provider down", flowToken(56 * time.Minute), "", down, "token0", 0, Authorized},
		{"about to end, refused by the provider", flowToken(56 * time.Minute), "", no, "token0", 0, Failing},
		{"ended", flowToken(time.Hour), "", tokenserver.Numbered, "token1", 0, Authorized},
		{"ended, provider down", flowToken(time.Hour), "", down, "", oauth.Temporary, Failing},
		{"ended, refused by the provider", flowToken(time.Hour), "", no, "", oauth.Misconfigured, Failing},
		{"first, refused by the provider", oauth.Grant{}, "", no, "", oauth.Misconfigured, Failing},
		{"refused by the mail server", flowToken(0), "token0", tokenserver.Numbered, "token1", 0, Authorized},
		{"from a clock that was ahead", flowToken(-time.Hour), "", tokenserver.Numbered, "token1", 0, Authorized},
		{"of a person before there was a flow", granted(0), "", down, "token0", 0, Authorized},
		{"withdrawn before there was a flow", marked, "", down, "token0", 0, Authorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := flowAccount(t, &tokenserver.Server{Answer: tt.answer}, oauth.ClientCredentials{}, tt.grant)
			got, err := a.Token(t.Context(), tt.stale)
			if got != tt.want {
				t.Errorf("token = %q, %v; want %q", got, err, tt.want)
			}
			var e *oauth.Error
			if tt.want == "" && (!errors.As(err, &e) || e.Kind != tt.err) {
				t.Errorf("err = %#v, want %v", err, tt.err)
			}
			if errors.Is(err, oauth.ErrNeedsAuthorization) {
				t.Error("a person is asked for, and there is none")
			}
			if st := a.Status(); st.State != tt.state {
				t.Errorf("status = %+v", st)
			}
			if !tt.grant.Empty() && onDisk(t, a).RefreshToken != tt.grant.RefreshToken {
				t.Error("the refresh token of an earlier consent is gone")
			}
		})
	}
}

// Before its first use, an account without a person can log in for all that is
// known.
func TestAutomaticStatus(t *testing.T) {
	a := flowAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, oauth.ClientCredentials{}, oauth.Grant{})
	if st := a.Status(); !reflect.DeepEqual(st, Status{State: Authorized}) || a.Interactive() {
		t.Errorf("status = %+v", st)
	}
	if a := testAccount(t, nil, oauth.Grant{}); !a.Interactive() {
		t.Error("without a flow it needs no person")
	}
}

// What cannot be read is of no worth where another token can be had.
func TestAutomaticDamagedFile(t *testing.T) {
	s := &tokenserver.Server{Answer: tokenserver.Numbered}
	a := flowAccount(t, s, oauth.ClientCredentials{}, flowToken(0))
	path := filepath.Join(a.store.Dir(), "joe.json")
	writeFile(t, path, "{", 0o600)
	a = NewAccount("joe", a.provider, a.flow, a.store, nil)
	if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil {
		t.Errorf("token = %q, %v", token, err)
	}
	if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 || onDisk(t, a).AccessToken != "token1" {
		t.Errorf("put aside: %q, %v", aside, err)
	}
}

// A provider is asked only for mailboxes that somebody uses.
func TestAutomaticRefreshes(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name        string
		flow        oauth.Flow
		grant       func() oauth.Grant
		logins      int // one each day, at its begin
		answer      func(int, url.Values) (int, string)
		least, most int // requests in ten days
	}{
		{"never used", oauth.ClientCredentials{}, func() oauth.Grant { return oauth.Grant{} }, 0, tokenserver.Numbered, 0, 0},
		{"not used since a restart", oauth.ClientCredentials{}, func() oauth.Grant { return flowToken(time.Hour) }, 0, tokenserver.Numbered, 0, 0},
		{"used once", oauth.ClientCredentials{}, func() oauth.Grant { return oauth.Grant{} }, 1, tokenserver.Numbered, 43, 53},
		{"used each day", oauth.ClientCredentials{}, func() oauth.Grant { return oauth.Grant{} }, 10, tokenserver.Numbered, 390, 480},
		{"used once, provider refuses", oauth.ClientCredentials{}, func() oauth.Grant { return oauth.Grant{} }, 1, tokenserver.Always(401, tokenserver.BadClient), 26, 28},
		{"used once, wrong password", oauth.ResourceOwner{User: "joe", Password: "wrong"}, func() oauth.Grant { return oauth.Grant{} }, 1, tokenserver.Always(400, tokenserver.Withdrawn), 26, 28},
		{"used once, tokens of a short life", oauth.ClientCredentials{}, func() oauth.Grant { return oauth.Grant{} }, 1, tokenserver.Always(200, `{"access_token":"at","expires_in":300}`), 1, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenserver.Server{Answer: tt.answer}
				a := flowAccount(t, s, tt.flow, tt.grant())
				defer refreshing(t, a)()
				for i := range 10 {
					if i < tt.logins {
						a.Token(t.Context(), "")
					}
					time.Sleep(day)
				}
				if n := s.Count(); n < tt.least || n > tt.most {
					t.Errorf("%d requests, want %d to %d", n, tt.least, tt.most)
				}
			})
		})
	}
}

// TestWrongPasswordIsSentSeldom: many directories lock a user after some wrong passwords.
func TestWrongPasswordIsSentSeldom(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		pause      time.Duration
	}{
		{"wrong password", tokenserver.Withdrawn, 15 * time.Minute},
		{"registration refused", tokenserver.BadClient, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tokenserver.Server{Answer: tokenserver.Always(400, tt.body)}
				a := flowAccount(t, s, oauth.ResourceOwner{User: "joe", Password: "wrong"}, oauth.Grant{})
				at := attempts(t, a, s, noneStale, time.Second, time.Hour)
				if want := int(time.Hour / tt.pause); len(at) != want || at[1]-at[0] != tt.pause {
					t.Errorf("sent at %v, want every %v", at, tt.pause)
				}
			})
		})
	}
}

// A mailbox that the provider does not know is no reason to leave the provider
// alone, but a registration that it does not know is.
func TestPauseAfter(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		trouble bool
	}{
		{"success", nil, false},
		{"consent withdrawn", &oauth.Error{Kind: oauth.NeedsConsent}, false},
		{"unknown mailbox", &oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_grant"}, false},
		{"registration refused", &oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_client"}, true},
		{"throttled", &oauth.Error{Kind: oauth.Temporary, Code: "invalid_grant"}, true},
		{"provider down", &oauth.Error{Kind: oauth.Temporary}, true},
	} {
		var trouble backoff
		if d := pauseAfter(tt.err, &trouble); (d > pace) != tt.trouble || (trouble > 0) != tt.trouble {
			t.Errorf("%s: %v", tt.name, d)
		}
	}
}

// TestPasswordIsNotRefreshed checks that the provider receives no request for an account with
// a password.
func TestPasswordIsNotRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.Numbered}
		a := NewPasswordAccount("joe", newProvider(s), "secret", openStore(t, stateDir(t)), nil)
		defer refreshing(t, a)()
		for range 10 {
			a.Token(t.Context(), "")
			time.Sleep(24 * time.Hour)
		}
		if st := a.Status(); s.Count() != 0 || a.Interactive() || st.State != Authorized {
			t.Errorf("%d requests, status %+v", s.Count(), st)
		}
	})
}

func TestAppPassword(t *testing.T) {
	a := NewPasswordAccount("joe", newProvider(nil), "abcd efgh", openStore(t, stateDir(t)), nil)
	if password, err := a.Token(t.Context(), ""); password != "abcd efgh" || err != nil {
		t.Errorf("password = %q, %v", password, err)
	}
	_, err := a.Token(t.Context(), "abcd efgh")
	var e *oauth.Error
	if !errors.As(err, &e) || e.Kind != oauth.Misconfigured || strings.Contains(err.Error(), "abcd") {
		t.Errorf("refused by the server: %v", err)
	}
}
