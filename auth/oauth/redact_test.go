package oauth

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// Secrets as long as those of providers, with characters that are escaped.
const (
	clientSecret = "GOCSPX-9vR~xT_k2Lw+Qe/7Zb3Nd=="
	refreshToken = "1//09hX-qPz_7dKcYIARAAGAkSNwF-L9IrV2mT~uQ4/b.W8+s6oNfJgEx="
	authCode     = "4/0AVMBsJh-Rn~w8Kc+Zx/Td5Yq_Lp2Fv="
	verifierText = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	deviceCode   = "GMMhmHCXhWEzkobqIHGG_EnNYYsAkukHspeYUk9E8"
	userPassword = "correct horse+battery/staple"
)

// repeated are a secret in the forms in which an endpoint may repeat it.
func repeated(secret string) []string {
	b := []byte(secret)
	return []string{
		secret, url.QueryEscape(secret), strings.ToLower(url.QueryEscape(secret)), html.EscapeString(secret),
		base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(append([]byte("x:"), b...)),
		hex.EncodeToString(b), "..." + secret[len(secret)-10:], secret[:20],
		url.QueryEscape(base64.StdEncoding.EncodeToString(b)), strings.ReplaceAll(secret, "", "&#8203;"),
	}
}

// TestEchoIsRedacted has every endpoint repeat every secret of the request, in every
// form, where xoauthd reads its words.
func TestEchoIsRedacted(t *testing.T) {
	type call struct {
		name    string
		secrets []string
		do      func(*testing.T, *Provider) error
	}
	calls := []call{
		{"refresh", []string{refreshToken, clientSecret}, func(t *testing.T, p *Provider) error {
			_, err := p.Refresh(t.Context(), Consent{}, Grant{RefreshToken: refreshToken})
			return err
		}},
		{"exchange", []string{authCode, verifierText, clientSecret}, func(t *testing.T, p *Provider) error {
			_, err := p.Exchange(t.Context(), authCode, verifierText)
			return err
		}},
		{"password", []string{userPassword, clientSecret}, func(t *testing.T, p *Provider) error {
			_, err := p.Refresh(t.Context(), ResourceOwner{"joe", userPassword}, Grant{})
			return err
		}},
		{"device authorization", []string{clientSecret}, func(t *testing.T, p *Provider) error {
			_, err := p.DeviceAuth(t.Context())
			return err
		}},
		{"device", []string{deviceCode, clientSecret}, func(t *testing.T, p *Provider) error {
			_, err := p.AwaitDevice(t.Context(), &Device{code: deviceCode, Expiry: time.Now().Add(time.Hour), interval: time.Second})
			return err
		}},
		{"revocation", []string{refreshToken, clientSecret}, func(t *testing.T, p *Provider) error {
			_, err := p.Revoke(t.Context(), Grant{RefreshToken: refreshToken})
			return err
		}},
	}
	type answer struct {
		name string
		with func(s *tokenserver.Server, words string)
	}
	answers := []answer{
		{"error_description", func(s *tokenserver.Server, words string) {
			s.Answer = tokenserver.Always(400, fmt.Sprintf(`{"error":"invalid_client","error_description":%q,"error_uri":%q}`, words, words))
		}},
		{"error", func(s *tokenserver.Server, words string) {
			s.Answer = tokenserver.Always(400, fmt.Sprintf(`{"error":%q}`, "invalid_client "+words))
		}},
		{"error with status 200", func(s *tokenserver.Server, words string) {
			s.Answer = tokenserver.Always(200, fmt.Sprintf(`{"error":"invalid_client","error_description":%q}`, words))
		}},
		{"page of HTML", func(s *tokenserver.Server, words string) {
			s.Header = http.Header{"Content-Type": {"text/html"}}
			s.Answer = tokenserver.Always(401, "<html><body>"+words+"</body></html>")
		}},
		{"redirect", func(s *tokenserver.Server, words string) {
			s.Header = http.Header{"Location": {"https://example.com/?%zz" + words}}
			s.Answer = tokenserver.Always(302, "")
		}},
		{"malformed answer", func(s *tokenserver.Server, words string) {
			s.Fails = fmt.Errorf("malformed HTTP response %q", words)
		}},
	}
	for _, c := range calls {
		for _, a := range answers {
			t.Run(c.name+"/"+a.name, func(t *testing.T) {
				for _, secret := range c.secrets {
					for _, words := range repeated(secret) {
						synctest.Test(t, func(t *testing.T) {
							s := new(tokenserver.Server)
							a.with(s, words)
							p := newProvider(s)
							p.Client.CheckRedirect = NewHTTPClient(nil, nil).CheckRedirect
							p.OAuth.ClientSecret = clientSecret
							p.OAuth.Endpoint.DeviceAuthURL, p.RevocationURL = "https://example.com/device", "https://example.com/revoke"
							err := c.do(t, p)
							var e *Error
							if !errors.As(err, &e) {
								t.Fatalf("%v", err)
							}
							for _, text := range []string{e.Error(), e.Code, e.Description, e.Hint(), fmt.Sprint(e.Err)} {
								if !redact.New(secret).Clean(text) {
									t.Errorf("%q leaves of it: %q", words, text)
								}
							}
						})
					}
				}
			})
		}
	}
}

// A grant of another account at the provider, or one of before, is hidden as well.
func TestEchoOfAnotherIsRedacted(t *testing.T) {
	other := strings.Repeat("Zq3-Lk8_", 10)
	s := &tokenserver.Server{Answer: tokenserver.In(2, func(int, url.Values) (int, string) {
		return 200, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer"}`, "a"+other, "r"+other)
	}, tokenserver.Always(400, `{"error":"invalid_client","error_description":"not a`+other+`, nor `+refreshToken+`"}`))}
	p := newProvider(s)
	if _, err := p.Refresh(t.Context(), Consent{}, Grant{RefreshToken: refreshToken}); err != nil {
		t.Fatal(err)
	}
	_, err := p.Refresh(t.Context(), Consent{}, Grant{RefreshToken: "another-one-of-another-account"})
	if want := "token endpoint: invalid_client: not (hidden), nor (hidden)"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestShownIsClean: what is shown of a device authorization and of an identity contains no
// secret.
func TestShownIsClean(t *testing.T) {
	for name, body := range map[string]string{
		"user code":     fmt.Sprintf(`{"device_code":"d","user_code":%q,"verification_uri":"https://example.com/"}`, clientSecret),
		"link":          fmt.Sprintf(`{"device_code":"d","user_code":"ABCD","verification_uri":"https://example.com/?%s"}`, url.QueryEscape(clientSecret)),
		"complete link": fmt.Sprintf(`{"device_code":%q,"user_code":"ABCD","verification_uri":"https://example.com/","verification_uri_complete":"https://example.com/%s"}`, deviceCode, hex.EncodeToString([]byte(deviceCode))),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(&tokenserver.Server{Answer: tokenserver.Always(200, body)})
			p.OAuth.ClientSecret, p.OAuth.Endpoint.DeviceAuthURL = clientSecret, "https://example.com/device"
			d, err := p.DeviceAuth(t.Context())
			if text := fmt.Sprintf("%+v %v", d, err); err == nil && d.Complete != "" || !redact.New(clientSecret).Clean(text) {
				t.Error(text)
			}
		})
	}
	t.Run("identity", func(t *testing.T) {
		claims := fmt.Sprintf(`{"aud":"client","email":%q}`, refreshToken+"@example.com")
		part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		idToken := part(`{"alg":"RS256"}`) + "." + part(claims) + "." + part("x")
		p := newProvider(&tokenserver.Server{Answer: tokenserver.Always(200, fmt.Sprintf(
			`{"access_token":"token1","refresh_token":%q,"token_type":"Bearer","id_token":%q}`, refreshToken, idToken))})
		g, err := p.Exchange(t.Context(), authCode, verifierText)
		if err != nil || g.Identity != "" {
			t.Errorf("%q, %v", g.Identity, err)
		}
	})
}

// A helper repeats the token that it printed.
func TestCommandIsRedacted(t *testing.T) {
	path := script(t, `echo `+strings.ReplaceAll(refreshToken, "/", "-")+`; echo no `+strings.ReplaceAll(refreshToken, "/", "-")+` >&2; exit 1`)
	_, err := newProvider(nil).Refresh(t.Context(), Command{Args: []string{path}}, Grant{})
	if err == nil || !strings.HasSuffix(err.Error(), "exit status 1: no (hidden)") {
		t.Errorf("%v", err)
	}
}
