package auth

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(" ", maxAnswer+1)) })
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
	client := NewHTTPClient(roots)
	defer client.CloseIdleConnections()

	if status, body, err := get(client, s.URL+"/ok"); err != nil || status != 200 || body != "ok" {
		t.Errorf("ok: %d %q %v", status, body, err)
	}
	if status, _, err := get(client, s.URL+"/redirect"); err != nil || status != 307 {
		t.Errorf("redirect: %d %v, want it unfollowed", status, err)
	}
	if _, _, err := get(client, s.URL+"/long"); err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
		t.Errorf("long: %v", err)
	}
	if _, _, err := get(client, s.URL+"/headers"); err == nil {
		t.Error("headers beyond bounds are taken")
	}
	if _, _, err := get(NewHTTPClient(nil), s.URL+"/ok"); err == nil || !strings.Contains(err.Error(), "certificate") {
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
	if _, _, err := get(NewHTTPClient(roots), s.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("err = %v, want a refusal of TLS 1.1", err)
	}
}
