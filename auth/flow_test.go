package auth

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// unattendedAccount is one with a flow, and with the grant g on disk.
func unattendedAccount(t *testing.T, s *server, f Flow, g Grant) *Account {
	t.Helper()
	a := newAccount(t, s, g)
	return NewAccount("joe", a.provider, f, a.store, a.log)
}

// flowToken is what an earlier flow left on disk.
func flowToken(age time.Duration) Grant {
	g := granted(age)
	return Grant{AccessToken: g.AccessToken, Expiry: g.Expiry, Refreshed: g.Obtained}
}

func TestFlowRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		flow Flow
		want url.Values
	}{
		"client credentials": {ClientCredentials{}, url.Values{
			"grant_type": {"client_credentials"}, "scope": {"mail"},
			"client_id": {"client"}, "client_secret": {"client-secret"},
		}},
		"resource owner": {ResourceOwner{"joe@example.com", "pass word"}, url.Values{
			"grant_type": {"password"}, "scope": {"mail"}, "username": {"joe@example.com"}, "password": {"pass word"},
			"client_id": {"client"}, "client_secret": {"client-secret"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{answer: numbered}
			a := unattendedAccount(t, s, tt.flow, Grant{})
			if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil {
				t.Errorf("token = %q, %v", token, err)
			}
			if got := s.requests[0].Encode(); got != tt.want.Encode() {
				t.Errorf("request %s, want %s", got, tt.want.Encode())
			}
			if g := onDisk(t, a); g.AccessToken != "token1" || g.RefreshToken != "" || !g.Obtained.IsZero() {
				t.Errorf("on disk: %+v", g)
			}
		})
	}
}

func TestUnattendedToken(t *testing.T) {
	down, no := always(0, ""), always(400, withdrawn)
	marked := granted(0)
	marked.Withdrawn = "no more"
	for _, tt := range []struct {
		name   string
		grant  Grant
		stale  string
		answer func(int, url.Values) (int, string)
		want   string
		err    Kind // if want is empty
		state  State
	}{
		{"first", Grant{}, "", numbered, "token1", 0, Authorized},
		{"from before a restart", flowToken(0), "", down, "token0", 0, Authorized},
		{"about to end", flowToken(56 * time.Minute), "", numbered, "token1", 0, Authorized},
		{"about to end, provider down", flowToken(56 * time.Minute), "", down, "token0", 0, Authorized},
		{"about to end, refused by the provider", flowToken(56 * time.Minute), "", no, "token0", 0, Failing},
		{"ended", flowToken(time.Hour), "", numbered, "token1", 0, Authorized},
		{"ended, provider down", flowToken(time.Hour), "", down, "", Passing, Failing},
		{"ended, refused by the provider", flowToken(time.Hour), "", no, "", Misconfigured, Failing},
		{"first, refused by the provider", Grant{}, "", no, "", Misconfigured, Failing},
		{"refused by the mail server", flowToken(0), "token0", numbered, "token1", 0, Authorized},
		{"from a clock that was ahead", flowToken(-time.Hour), "", numbered, "token1", 0, Authorized},
		{"of a person before there was a flow", granted(0), "", down, "token0", 0, Authorized},
		{"withdrawn before there was a flow", marked, "", down, "token0", 0, Authorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := unattendedAccount(t, &server{answer: tt.answer}, ClientCredentials{}, tt.grant)
			got, err := a.Token(t.Context(), tt.stale)
			if got != tt.want {
				t.Errorf("token = %q, %v; want %q", got, err, tt.want)
			}
			var e *Error
			if tt.want == "" && (!errors.As(err, &e) || e.Kind != tt.err) {
				t.Errorf("err = %#v, want %v", err, tt.err)
			}
			if errors.Is(err, ErrNeedsAuthorization) {
				t.Error("a person is asked for, and there is none")
			}
			if st := a.Status(); st.State != tt.state {
				t.Errorf("status = %+v", st)
			}
			if !tt.grant.empty() && onDisk(t, a).RefreshToken != tt.grant.RefreshToken {
				t.Error("the refresh token of an earlier consent is gone")
			}
		})
	}
}

// Before its first use, an account without a person can log in for all that is
// known.
func TestUnattendedStatus(t *testing.T) {
	a := unattendedAccount(t, &server{answer: numbered}, ClientCredentials{}, Grant{})
	if st := a.Status(); !reflect.DeepEqual(st, Status{State: Authorized}) || a.Attended() {
		t.Errorf("status = %+v", st)
	}
	if a := newAccount(t, nil, Grant{}); !a.Attended() {
		t.Error("without a flow it needs no person")
	}
}

// What cannot be read is of no worth where another token can be had.
func TestUnattendedDamagedFile(t *testing.T) {
	s := &server{answer: numbered}
	a := unattendedAccount(t, s, ClientCredentials{}, flowToken(0))
	path := filepath.Join(a.store.dir, "joe.json")
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
func TestUnattendedRenewals(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name        string
		flow        Flow
		grant       func() Grant
		logins      int // one each day, at its begin
		answer      func(int, url.Values) (int, string)
		least, most int // requests in ten days
	}{
		{"never used", ClientCredentials{}, func() Grant { return Grant{} }, 0, numbered, 0, 0},
		{"not used since a restart", ClientCredentials{}, func() Grant { return flowToken(time.Hour) }, 0, numbered, 0, 0},
		{"used once", ClientCredentials{}, func() Grant { return Grant{} }, 1, numbered, 43, 53},
		{"used each day", ClientCredentials{}, func() Grant { return Grant{} }, 10, numbered, 390, 480},
		{"used once, provider refuses", ClientCredentials{}, func() Grant { return Grant{} }, 1, always(401, badClient), 26, 28},
		{"used once, wrong password", ResourceOwner{"joe", "wrong"}, func() Grant { return Grant{} }, 1, always(400, withdrawn), 26, 28},
		{"used once, tokens of a short life", ClientCredentials{}, func() Grant { return Grant{} }, 1, always(200, `{"access_token":"at","expires_in":300}`), 1, 2},
		{"password", AppPassword("secret"), func() Grant { return Grant{} }, 10, numbered, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: tt.answer}
				a := unattendedAccount(t, s, tt.flow, tt.grant())
				defer renewing(t, a)()
				for i := range 10 {
					if i < tt.logins {
						a.Token(t.Context(), "")
					}
					time.Sleep(day)
				}
				if n := s.count(); n < tt.least || n > tt.most {
					t.Errorf("%d requests, want %d to %d", n, tt.least, tt.most)
				}
			})
		})
	}
}

// Directories lock out whoever sends a wrong password too often, at every door.
func TestWrongPasswordIsSentSeldom(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		pause      time.Duration
	}{
		{"wrong password", withdrawn, 15 * time.Minute},
		{"registration refused", badClient, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: always(400, tt.body)}
				a := unattendedAccount(t, s, ResourceOwner{"joe", "wrong"}, Grant{})
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
		{"consent withdrawn", &Error{Kind: Consent}, false},
		{"unknown mailbox", &Error{Kind: Misconfigured, Code: "invalid_grant"}, false},
		{"registration refused", &Error{Kind: Misconfigured, Code: "invalid_client"}, true},
		{"throttled", &Error{Kind: Passing, Code: "invalid_grant"}, true},
		{"provider down", &Error{Kind: Passing}, true},
	} {
		var trouble backoff
		if d := pauseAfter(tt.err, &trouble); (d > pace) != tt.trouble || (trouble > 0) != tt.trouble {
			t.Errorf("%s: %v", tt.name, d)
		}
	}
}

func TestAppPassword(t *testing.T) {
	a := unattendedAccount(t, nil, AppPassword("abcd efgh"), Grant{})
	if password, err := a.Token(t.Context(), ""); password != "abcd efgh" || err != nil {
		t.Errorf("password = %q, %v", password, err)
	}
	_, err := a.Token(t.Context(), "abcd efgh")
	var e *Error
	if !errors.As(err, &e) || e.Kind != Misconfigured || strings.Contains(err.Error(), "abcd") {
		t.Errorf("refused by the server: %v", err)
	}
}

// An endpoint may quote what it was sent.
func TestFlowErrorsHoldNoSecret(t *testing.T) {
	key := rsaKey(t)
	for name, f := range map[string]Flow{
		"client credentials": ClientCredentials{},
		"resource owner":     ResourceOwner{"joe", "correct horse"},
		"service account":    ServiceAccount{"robot@example.com", "key1", key, "joe@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []string
			s := &server{answer: func(_ int, form url.Values) (int, string) {
				for _, k := range []string{"client_secret", "password", "assertion"} {
					if v := form.Get(k); v != "" {
						sent = append(sent, v)
					}
				}
				return 400, fmt.Sprintf(`{"error":"invalid_grant","error_description":%q}`, "no: "+strings.Join(sent, " "))
			}}
			_, err := unattendedAccount(t, s, f, Grant{}).Token(t.Context(), "")
			if err == nil || len(sent) == 0 {
				t.Fatalf("err = %v; %d secrets", err, len(sent))
			}
			for _, secret := range sent {
				if strings.Contains(err.Error(), secret[:8]) {
					t.Errorf("err = %v", err)
				}
			}
		})
	}
}
