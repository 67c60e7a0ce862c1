package oauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/oauth2"
)

func get(client *http.Client, url string) (status int, body string, err error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestHTTPClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/redirect", http.RedirectHandler("/ok", http.StatusTemporaryRedirect))
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			w.Header().Add("X", strings.Repeat("x", maxHeaders/2))
		}
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	client := NewHTTPClient(roots, nil)
	defer client.CloseIdleConnections()

	if status, body, err := get(client, s.URL+"/ok"); err != nil || status != 200 || body != "ok" {
		t.Errorf("ok: %d %q %v", status, body, err)
	}
	if status, _, err := get(client, s.URL+"/redirect"); err != nil || status != 307 {
		t.Errorf("redirect: %d %v, want it unfollowed", status, err)
	}
	if _, _, err := get(client, s.URL+"/headers"); err == nil {
		t.Error("headers beyond bounds are taken")
	}
	if _, _, err := get(NewHTTPClient(nil, nil), s.URL+"/ok"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown authority: %v", err)
	}
}

func TestHTTPClientWantsTLS12(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if _, _, err := get(NewHTTPClient(roots, nil), s.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("err = %v, want a refusal of TLS 1.1", err)
	}
}

// TestHTTPClientProxy: what goes to the token endpoint goes through the proxy,
// and if that does not let it, the error says so, and what to do.
func TestHTTPClientProxy(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"access_token":"token1","token_type":"Bearer"}`)
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != "Basic am9lOnMzY3JldA==" { // joe:s3cret
			http.Error(w, r.Header.Get("Proxy-Authorization"), http.StatusProxyAuthRequired)
			return
		}
		tunnel(t, w, s.Listener.Addr().String())
	}))
	defer proxy.Close()

	for _, test := range []struct {
		name, user, password, want string // in the error, and nothing if there is none
	}{
		{"the right password", "joe", "s3cret", ""},
		{"a wrong password", "joe", "wr0ng-one", "HTTP proxy " + proxy.Listener.Addr().String() + ": 407 Proxy Authentication Required"},
	} {
		via := &url.URL{Scheme: "http", Host: proxy.Listener.Addr().String(), User: url.UserPassword(test.user, test.password)}
		client := NewHTTPClient(roots, http.ProxyURL(via))
		p := &Provider{OAuth: oauth2.Config{ClientID: "client", Endpoint: oauth2.Endpoint{TokenURL: "https://example.com/token"}}, Client: client}
		before := asked.Load()
		g, err := p.Refresh(t.Context(), Consent{}, Grant{RefreshToken: "refresh0"})
		client.CloseIdleConnections()
		if asked.Load() == before {
			t.Errorf("%s: the proxy was not asked", test.name)
		}
		if test.want == "" {
			if err != nil || g.AccessToken != "token1" {
				t.Errorf("%s: %+v, %v", test.name, g, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != Temporary || e.Error() != test.want || !strings.Contains(e.Hint(), "http://user:password@host:port") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// tunnel connects the client of w to address, whatever it asked for.
func tunnel(t *testing.T, w http.ResponseWriter, address string) {
	to, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer to.Close()
	from, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer from.Close()
	io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(to, from)
	io.Copy(from, to)
}
