package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// FuzzReadPrinted: whatever a command prints, what is taken for a token can go to
// a mail server, and has an end.
func FuzzReadPrinted(f *testing.F) {
	for _, seed := range []string{
		"ya29.token-1\n", "\"token1\"\n", "a remark\ntoken1==\n", "null\n", "ERROR\n", jwtOf(`{"exp":1}`),
		`{"access_token":"token1","expires_in":"1800"}`, `{"accessToken":"token1","expires_on":1e300}`,
		`{"token":"token1","expiresOn":"2000-01-01T00:30:00Z"}`, `{"access_token":7}`, "{", "\x00\n", strings.Repeat("1", maxToken+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := readPrinted(text)
		switch {
		case err != nil:
			if token != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%+v, %q", token, err)
			}
		case !isBearer(token.text("access_token")) || len(token.text("access_token")) > maxToken || !token.expiry(time.Now(), defaultLife).After(time.Now()):
			t.Errorf("%+v", token)
		}
	})
}

// FuzzParseDevice: whatever a provider answers, what is shown to a person is one
// harmless line and a link to a web page, and nobody waits without pause or end.
func FuzzParseDevice(f *testing.F) {
	for _, seed := range []string{
		`{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"https://example.com/device","expires_in":900,"interval":5}`,
		`{"device_code":"d","user_code":"A\u202e","verification_uri":"javascript:alert(1)"}`,
		`{"device_code":"d","user_code":"A","verification_url":"http://example.com","expires_in":-1,"interval":1e300}`,
		`{"device_code":"d","user_code":"A","verification_uri":"https://example.com","interval":"NaN"}`, `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := new(Provider).parseDevice(parseAnswer(&http.Response{Header: make(http.Header)}, body))
		if err != nil {
			return
		}
		if d.UserCode == "" || len(d.UserCode) > maxUserCode || strings.ContainsFunc(d.UserCode, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Errorf("user code %q", d.UserCode)
		}
		if u, err := url.Parse(d.URI); err != nil || u.Scheme != "https" && u.Scheme != "http" {
			t.Errorf("link %q", d.URI)
		}
		if d.interval < time.Second || d.interval > maxInterval || time.Until(d.Expiry) > maxLife {
			t.Errorf("interval %v, expiry %v", d.interval, d.Expiry)
		}
	})
}

// FuzzIdentity: whatever an ID token says, what is shown of it is an address.
func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{
		jwtOf(`{"aud":"client","email":"joe@example.com"}`), jwtOf(`{"aud":["client"],"upn":"joe@example.com"}`),
		jwtOf(`{"aud":"client","email":"joe@example.com\r\nX"}`), jwtOf(`{"aud":7}`), "a.b.c", "..", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if got := (&Provider{OAuth: oauth2.Config{ClientID: "client"}}).identity(raw); got != "" && (!strings.Contains(got, "@") || len(got) > maxAddress || got != OneLine(got)) {
			t.Errorf("identity %q", got)
		}
	})
}

// FuzzTokenAnswer: whatever a token endpoint answers, there is a token that can go
// to a mail server and has an end within reason, or a fault in one line without
// the secrets of the request; and the refresh token is there as before, or another.
func FuzzTokenAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"token1","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh1"}`,
		`{"access_token":"token1","token_type":"bearer","expires_in":"1e300"}`, `{"access_token":"token1","expires_in":-1}`,
		`{"access_token":"to ken","token_type":"Bearer"}`, `{"access_token":"token1","token_type":"mac","refresh_token":"r\r\n"}`,
		`access_token=token1&token_type=bearer&expires_in=7&refresh_token=refresh1`, `{"expires_in":NaN}`, "<html>", "", "null", "[]", tokenserver.Withdrawn, tokenserver.BadClient,
	} {
		f.Add(uint16(200), "application/json", body)
		f.Add(uint16(400), "text/plain", body)
	}
	f.Add(uint16(200), "application/x-www-form-urlencoded", "access_token=token1")
	f.Add(uint16(401), "application/json", `{"error":"invalid_client","error_description":"client-secret refresh-secret\nno"}`)
	f.Fuzz(func(t *testing.T, status uint16, contentType, body string) {
		s := &tokenserver.Server{Answer: tokenserver.Always(int(status%400)+200, body), Header: map[string][]string{"Content-Type": {contentType}}}
		before := Grant{AccessToken: "token0", RefreshToken: "refresh-secret", Expiry: time.Now()}
		g, err := newProvider(s).Refresh(t.Context(), Consent{}, before)
		switch text := fmt.Sprint(err); {
		case g.RefreshToken == "":
			t.Errorf("the refresh token is lost: %v", err)
		case err != nil:
			if strings.Contains(text, "client-secret") || strings.Contains(text, "refresh-secret") || text != OneLine(text) {
				t.Errorf("error %q", text)
			}
		case !isBearer(g.AccessToken) || len(g.AccessToken) > maxToken || !g.Expiry.After(before.Expiry) || time.Until(g.Expiry) > maxLife:
			t.Errorf("%+v", g)
		}
	})
}
