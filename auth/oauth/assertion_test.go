package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verified returns the header and the claims of a JWT that key has signed by
// that algorithm.
func verified(t *testing.T, text string, algorithm jose.SignatureAlgorithm, key *rsa.PrivateKey) (jose.Header, map[string]any) {
	t.Helper()
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Claims(key.Public(), &claims); err != nil {
		t.Fatal(err)
	}
	return token.Headers[0], claims
}

// wantClaims compares claims; the times are from now on, in seconds.
func wantClaims(t *testing.T, got, want map[string]any) {
	t.Helper()
	for _, name := range []string{"iat", "nbf", "exp"} {
		if seconds, ok := got[name].(float64); ok {
			got[name] = int(int64(seconds) - time.Now().Unix())
		}
	}
	if id, _ := got["jti"].(string); len(id) < 16 {
		t.Errorf("jti = %v", got["jti"])
	}
	delete(got, "jti")
	for name := range got {
		if got[name] != want[name] {
			t.Errorf("%s = %#v, want %#v", name, got[name], want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("no claim %s", name)
	}
}

// certificate is one that signs itself with key.
func certificate(t *testing.T, key *rsa.PrivateKey) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificateAssertion(t *testing.T) {
	key := rsaKey(t)
	cert := certificate(t, key)
	thumbprint := sha256.Sum256(cert.Certificate[0])
	for _, tt := range []struct {
		algorithm     jose.SignatureAlgorithm
		audience, aud string
	}{
		{jose.RS256, "", "https://example.com/token"},
		{jose.PS256, "https://example.com", "https://example.com"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, err := NewCertificateAssertion(cert, string(tt.algorithm), tt.audience)
			if err != nil {
				t.Fatal(err)
			}
			text, err := a.assertion("client", "https://example.com/token")
			if err != nil {
				t.Fatal(err)
			}
			header, claims := verified(t, text, tt.algorithm, key)
			if header.ExtraHeaders["typ"] != "JWT" || header.ExtraHeaders["x5t#S256"] != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
				t.Errorf("header = %+v", header)
			}
			wantClaims(t, claims, map[string]any{"iss": "client", "sub": "client", "aud": tt.aud, "iat": -60, "nbf": -60, "exp": 240})
		})
	}
}

func TestCertificateOfNoUse(t *testing.T) {
	good := certificate(t, rsaKey(t))
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cert      tls.Certificate
		algorithm string
		want      string
	}{
		"another algorithm":    {*good, "ES256", `algorithm "ES256": must be RS256 or PS256`},
		"no algorithm":         {*good, "", `algorithm "": must be RS256 or PS256`},
		"no certificate":       {tls.Certificate{PrivateKey: good.PrivateKey}, "PS256", "certificate: there is none, but only a key"},
		"another kind of key":  {tls.Certificate{Certificate: good.Certificate, PrivateKey: elliptical}, "PS256", "certificate: its key is not RSA, which client assertions are signed with: make one whose key is"},
		"a certificate, alone": {tls.Certificate{Certificate: good.Certificate}, "PS256", "certificate: its key is not RSA, which client assertions are signed with: make one whose key is"},
	} {
		if _, err := NewCertificateAssertion(&tt.cert, tt.algorithm, ""); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// everyCall has the provider ask for a token in each way there is.
func everyCall(t *testing.T, p *Provider) map[string]error {
	ctx := t.Context()
	_, exchange := p.Exchange(ctx, "code1", "verifier1")
	_, refresh := p.Refresh(ctx, Consent{}, granted(0))
	_, credentials := p.Refresh(ctx, ClientCredentials{}, Grant{})
	_, owner := p.Refresh(ctx, ResourceOwner{"joe", "secret"}, Grant{})
	_, device := p.AwaitDevice(ctx, &Device{code: "device1", interval: time.Second, Expiry: time.Now().Add(time.Minute)})
	return map[string]error{
		"authorization_code": exchange, "refresh_token": refresh, "client_credentials": credentials, "password": owner,
		"urn:ietf:params:oauth:grant-type:device_code": device,
	}
}

// A wary server takes each assertion once, and no other credentials with it.
type wary struct {
	*tokenserver.Server
	t    *testing.T
	key  *rsa.PrivateKey
	seen map[any]bool
}

func (w wary) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, _, ok := req.BasicAuth(); ok {
		w.t.Error("the header has credentials")
	}
	resp, err := w.Server.RoundTrip(req)
	form := w.Server.Requests[w.Server.Count()-1]
	_, claims := verified(w.t, form.Get("client_assertion"), jose.PS256, w.key)
	if w.seen[claims["jti"]] || form.Has("client_secret") || form.Get("client_id") != "client" ||
		form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		w.t.Errorf("request %v", form)
	}
	w.seen[claims["jti"]] = true
	return resp, err
}

// assertingProvider is one that has the client prove itself by a certificate.
func assertingProvider(t *testing.T, s *tokenserver.Server) *Provider {
	t.Helper()
	key := rsaKey(t)
	a, err := NewCertificateAssertion(certificate(t, key), "PS256", "")
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(s)
	p.Assertion = a
	p.OAuth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	p.Client.Transport = wary{s, t, key, make(map[any]bool)}
	return p
}

func TestAssertionGoesWithEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		patience := 2 // polls before the person consents
		s := &tokenserver.Server{Answer: func(n int, form url.Values) (int, string) {
			if form.Has("device_code") && patience > 0 {
				patience--
				return 400, `{"error":"authorization_pending"}`
			}
			return tokenserver.Numbered(n, form)
		}}
		for grant, err := range everyCall(t, assertingProvider(t, s)) {
			if err != nil {
				t.Errorf("%s: %v", grant, err)
			}
		}
		var asked []string
		for _, form := range s.Requests {
			asked = append(asked, form.Get("grant_type"))
		}
		const device = "urn:ietf:params:oauth:grant-type:device_code"
		if got, want := strings.Join(asked, " "), "authorization_code refresh_token client_credentials password "+device+" "+device+" "+device; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	})
}

func TestRefreshTokenRotatesWithAssertion(t *testing.T) {
	p := assertingProvider(t, &tokenserver.Server{Answer: tokenserver.Always(200, `{"refresh_token":"refresh1"}`)})
	if g, err := p.Refresh(t.Context(), Consent{}, granted(0)); err == nil || g.RefreshToken != "refresh1" {
		t.Errorf("refresh token = %q, %v", g.RefreshToken, err)
	}
}

func TestAssertionIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := assertingProvider(t, &tokenserver.Server{Answer: func(_ int, form url.Values) (int, string) {
			return 400, fmt.Sprintf(`{"error":"invalid_client","error_description":"bad: %s"}`, form.Get("client_assertion"))
		}})
		for grant, err := range everyCall(t, p) {
			if err == nil || err.Error() != "token endpoint: invalid_client: bad: (hidden)" {
				t.Errorf("%s: %v", grant, err)
			}
		}
	})
}

// TestFederatedToken replaces the token file, as the platform does.
func TestFederatedToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s := &tokenserver.Server{Answer: tokenserver.Numbered}
	p := newProvider(s)
	p.Assertion = FederatedToken(path)
	for i, token := range []string{"eyJh.eyJi.sig_1", "eyJh.eyJi.sig-2"} {
		writeFile(t, path, "\ufeff"+token+"\r\n", 0o600)
		if _, err := p.Refresh(t.Context(), Consent{}, granted(0)); err != nil {
			t.Fatal(err)
		}
		if got := s.Requests[i].Get("client_assertion"); got != token {
			t.Errorf("client_assertion = %q, want %q", got, token)
		}
	}
}

// What is wrong on this side is told as such, and the provider not asked.
func TestFederatedTokenOfNoUse(t *testing.T) {
	for name, content := range map[string]string{
		"missing":         "",
		"empty":           "\n",
		"several lines":   "eyJh.eyJi.one\neyJh.eyJi.two",
		"longer than any": strings.Repeat("a", maxToken+1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if content != "" {
				writeFile(t, path, content, 0o600)
			}
			want := "federated token: " + path + ": not a token: have the token written there, and nothing else"
			if name == "missing" {
				want = "federated token: open " + path + ": no such file or directory: have the token written there, for xoauthd to read"
			}
			s := &tokenserver.Server{Answer: tokenserver.Numbered}
			p := newProvider(s)
			p.Assertion = FederatedToken(path)
			for grant, err := range everyCall(t, p) {
				var e *Error
				if !errors.As(err, &e) || e.Kind != Misconfigured || err.Error() != want {
					t.Errorf("%s: %v, want %s", grant, err, want)
				}
			}
			if s.Count() != 0 {
				t.Errorf("%d requests", s.Count())
			}
		})
	}
}

func TestFederatedTokenIsADirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := FederatedToken(dir).assertion("", ""); err == nil || err.Error() != "federated token: read "+dir+": is a directory" {
		t.Errorf("err = %v", err)
	}
}
