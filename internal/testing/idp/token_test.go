package idp

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRefresh(t *testing.T) {
	p := start(t, nil)
	access, first, expiry, err := p.Issue(alice)
	if err != nil {
		t.Fatal(err)
	}
	if mailbox, ok := p.User(access); mailbox != alice || !ok {
		t.Errorf("User = %q, %v", mailbox, ok)
	}
	if d := time.Until(expiry); d <= 59*time.Minute || d > time.Hour {
		t.Errorf("expires in %v", d)
	}
	second, err := p.refresh(t, first)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken == "" || second.RefreshToken == first || second.AccessToken == access {
		t.Error("the tokens do not rotate")
	}
	if mailbox, ok := p.User(second.AccessToken); mailbox != alice || !ok {
		t.Errorf("User = %q, %v", mailbox, ok)
	}

	// The first one again: the grant ends, with all its tokens.
	_, err = p.refresh(t, first)
	wantError(t, err, "invalid_grant")
	_, err = p.refresh(t, second.RefreshToken)
	wantError(t, err, "invalid_grant")
	for _, token := range []string{access, second.AccessToken} {
		if _, ok := p.User(token); ok {
			t.Error("an access token is good after the grant has ended")
		}
	}
	if n := p.TokenRequests(); n != 3 {
		t.Errorf("TokenRequests = %d", n)
	}
	_, err = p.refresh(t, "unknown")
	wantError(t, err, "invalid_grant")
}

func TestRefreshAtOnce(t *testing.T) {
	p := start(t, nil)
	_, token, _, err := p.Issue(alice)
	if err != nil {
		t.Fatal(err)
	}
	var good atomic.Int32
	var last atomic.Value
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if next, err := p.refresh(t, token); err == nil {
				good.Add(1)
				last.Store(next.RefreshToken)
			}
		})
	}
	all.Wait()
	if n := good.Load(); n != 1 {
		t.Fatalf("%d of 8 refreshes succeeded, want 1", n)
	}
	_, err = p.refresh(t, last.Load().(string))
	wantError(t, err, "invalid_grant")
}

func TestAccessTokenExpires(t *testing.T) {
	tests := []struct {
		life time.Duration
		told int64
	}{
		{time.Hour, 3600},
		{time.Second, 1},
		{1500 * time.Millisecond, 2},
		{time.Millisecond, 1},
	}
	for _, test := range tests {
		t.Run(test.life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, func(c *Config) { c.AccessTokenLife = test.life })
				_, refresh, _, err := p.Issue(bob)
				if err != nil {
					t.Fatal(err)
				}
				token, err := p.refresh(t, refresh)
				if err != nil {
					t.Fatal(err)
				}
				if token.ExpiresIn != test.told {
					t.Errorf("expires_in = %d, want %d", token.ExpiresIn, test.told)
				}
				time.Sleep(test.life - time.Nanosecond)
				if _, ok := p.User(token.AccessToken); !ok {
					t.Error("expired too early")
				}
				time.Sleep(time.Nanosecond)
				if _, ok := p.User(token.AccessToken); ok {
					t.Error("did not expire")
				}
			})
		})
	}
}

func TestIntrospection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, nil)
		access, _, expiry, err := p.Issue(alice)
		if err != nil {
			t.Fatal(err)
		}
		_, body := p.post(t, IntrospectPath, "dovecot", "service-secret", url.Values{"token": {access}})
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"active": true, "username": alice, "email": alice, "sub": alice,
			"email_verified": true, "preferred_username": alice,
			"scope": "mail offline_access", "client_id": "xoauthd", "token_type": "Bearer",
			"iss": "http://127.0.0.1:2", "exp": float64(expiry.Unix()),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}

		tests := []struct {
			name, user, password, token string
			status                      int
		}{
			{"an unknown token", "dovecot", "service-secret", "unknown", http.StatusOK},
			{"no token", "dovecot", "service-secret", "", http.StatusOK},
			{"not for the client", "xoauthd", "client-secret", access, http.StatusOK},
			{"wrong secret", "dovecot", "client-secret", access, http.StatusUnauthorized},
			{"nobody", "nobody", "", access, http.StatusUnauthorized},
			{"no credentials", "", "", access, http.StatusUnauthorized},
		}
		for _, test := range tests {
			status, body := p.post(t, IntrospectPath, test.user, test.password, url.Values{"token": {test.token}})
			inactive := strings.TrimSpace(body) == `{"active":false}`
			if status != test.status || inactive != (status == http.StatusOK) {
				t.Errorf("%s: %d %s", test.name, status, body)
			}
		}
		time.Sleep(time.Hour)
		if _, body := p.post(t, IntrospectPath, "dovecot", "service-secret", url.Values{"token": {access}}); strings.TrimSpace(body) != `{"active":false}` {
			t.Errorf("expired: %s", body)
		}
	})
}

// Without a mail server, an empty name and password must not stand for it.
func TestIntrospectionByNobody(t *testing.T) {
	p := start(t, func(c *Config) { c.ServiceID, c.ServiceSecret, c.ClientSecret = "", "", "" })
	access, _, _, err := p.Issue(alice)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", "http://127.0.0.1:2"+IntrospectPath, strings.NewReader("token="+access))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("", "")
	answer, err := p.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if body := read(t, answer); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s: %s", answer.Status, body)
	}
}

func TestRevocation(t *testing.T) {
	p := start(t, nil)
	tests := []struct {
		name          string
		revoke        func(access, refresh string)
		opens, renews bool // afterwards
	}{
		{"nothing", func(string, string) {}, true, true},
		{"access token by its client", func(access, _ string) {
			p.revoked(t, "xoauthd", "client-secret", access, http.StatusOK)
		}, false, true},
		{"refresh token by its client", func(_, refresh string) {
			p.revoked(t, "xoauthd", "client-secret", refresh, http.StatusOK)
		}, false, false},
		{"unknown token", func(string, string) {
			p.revoked(t, "xoauthd", "client-secret", "unknown", http.StatusOK)
		}, true, true},
		{"not by the mail server", func(_, refresh string) {
			p.revoked(t, "dovecot", "service-secret", refresh, http.StatusUnauthorized)
		}, true, true},
		{"access token by the provider", func(access, _ string) { p.RevokeAccess(access) }, false, true},
		{"all by the provider", func(string, string) { p.RevokeAll(alice) }, false, false},
		{"all of another by the provider", func(string, string) { p.RevokeAll(bob) }, true, true},
		{"nonsense by the provider", func(string, string) { p.RevokeAccess("unknown") }, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			access, refresh, _, err := p.Issue(alice)
			if err != nil {
				t.Fatal(err)
			}
			test.revoke(access, refresh)
			if _, ok := p.User(access); ok != test.opens {
				t.Errorf("opens the mailbox: %v", ok)
			}
			_, err = p.refresh(t, refresh)
			if test.renews && err != nil {
				t.Errorf("refresh: %v", err)
			} else if !test.renews {
				wantError(t, err, "invalid_grant")
			}
		})
	}
}

func (p *provider) revoked(t *testing.T, user, password, token string, want int) {
	t.Helper()
	if status, body := p.post(t, RevokePath, user, password, url.Values{"token": {token}}); status != want {
		t.Errorf("%d %s", status, body)
	}
}
