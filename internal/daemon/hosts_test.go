package daemon

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGuardHosts(t *testing.T) {
	h := guardHosts([]string{"metrics.example.com"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("alice@example.com"))
	}))
	for host, want := range map[string]int{
		"127.0.0.1:9180":           200,
		"[::1]:9180":               200,
		"[::1]":                    200,
		"192.0.2.7":                200,
		"localhost:9180":           200,
		"LOCALHOST":                200,
		"metrics.example.com":      200,
		"Metrics.Example.com:9180": 200,
		"":                         200,
		"rebinding.example:9180":   421,
		"rebinding.example":        421,
		"metrics.example.com.evil": 421,
		"evil.metrics.example.com": 421,
		"127.0.0.1.evil:9180":      421,
		"localhost.evil":           421,
		"[::1]evil":                421,
		":9180":                    200, // no name either
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Host = host
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
		if want == 421 && (strings.Contains(w.Body.String(), "alice") || !strings.Contains(w.Body.String(), "hosts in [metrics]")) {
			t.Errorf("Host %q: %s", host, w.Body)
		}
	}
}
