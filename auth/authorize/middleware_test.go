package authorize

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	a := newAccount("joe@example.com")
	a.redirect = "https://Auth.example.com/callback"
	s := newSite(t, "https://mail.example.com", a)
	for host, want := range map[string]int{
		"127.0.0.1:1180":             200,
		"localhost:1180":             200,
		"LOCALHOST:1180":             200,
		"[::1]:1180":                 200,
		"mail.example.com":           200,
		"mail.example.com:443":       200,
		"auth.example.com":           200,
		"":                           421,
		"localhost":                  421,
		"localhost:1181":             421,
		"rebinding.example:1180":     421,
		"127.0.0.1:1180.evil":        421,
		"mail.example.com.evil":      421,
		"evil.mail.example.com":      421,
		"mail.example.com:1180":      421,
		"<script>alert(1)</script>":  421,
		"auth.example.com@evil:1180": 421,
	} {
		w := s.do("GET", "/", "Host", host)
		if w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
		if want == 421 {
			assertContains(t, w.Body.String(), "Unknown host name", "public_url")
			if body := w.Body.String(); strings.Contains(body, "joe@") || strings.Contains(body, "<script") {
				t.Errorf("Host %q: %s", host, body)
			}
		}
	}
	if w := s.do("POST", "/authorize/joe@example.com", "Host", "rebinding.example:1180"); w.Code != 421 || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("POST with another Host: %d", w.Code)
	}
}

func TestCrossOrigin(t *testing.T) {
	a := newAccount("joe@example.com")
	s := newSite(t, "", a)
	for _, test := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", home}, 303},
		{"own page, old browser", []string{"Origin", home}, 303},
		{"no headers", nil, 303},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"another port", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:8080"}, 403},
		{"another site, old browser", []string{"Origin", "https://evil.example"}, 403},
		{"sandboxed frame", []string{"Origin", "null"}, 403},
	} {
		w := s.do("POST", home+"/authorize/joe@example.com", test.headers...)
		if w.Code != test.status || (w.Header().Get("Set-Cookie") != "") != (test.status == 303) {
			t.Errorf("%s: %d, want %d", test.name, w.Code, test.status)
		}
		if test.status == 403 {
			assertContains(t, w.Body.String(), "another website")
		}
	}
}

// TestRedirectToOrigin opens the pages at a host name that differs from the redirect URL.
func TestRedirectToOrigin(t *testing.T) {
	a := newAccount("a/b@example.com")
	a.redirect = "http://localhost:1180/callback"
	s := newSite(t, "", a)
	const page = "/authorize/a%2Fb@example.com"
	const canonical = "http://localhost:1180" + page + "?moved"

	w := s.do("GET", home+page)
	if to := w.Header().Get("Location"); w.Code != http.StatusTemporaryRedirect || to != canonical {
		t.Errorf("GET: %d to %q", w.Code, to)
	}
	w = s.do("POST", home+page)
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != canonical || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("POST: %d to %q", w.Code, to)
	}
	if w = s.do("GET", canonical); w.Code != http.StatusOK {
		t.Errorf("canonical: %d", w.Code)
	}
	// A reverse proxy changes the Host header of every request.
	w = s.do("GET", home+page+"?moved")
	assertContains(t, w.Body.String(), `action="`+page+`?moved"`)
	w = s.do("POST", home+page+"?moved", "Sec-Fetch-Site", "same-origin")
	if !strings.HasPrefix(w.Header().Get("Location"), a.authURL) {
		t.Errorf("behind the proxy: %d to %q", w.Code, w.Header().Get("Location"))
	}
	w = s.do("POST", home+page+"?moved", "Origin", "http://localhost:1180")
	if !strings.HasPrefix(w.Header().Get("Location"), a.authURL) {
		t.Errorf("behind the proxy, old browser: %d", w.Code)
	}
	if w = s.do("GET", home+page+"?next=https://evil.example"); w.Header().Get("Location") != canonical {
		t.Errorf("redirected to %q", w.Header().Get("Location"))
	}
}

func TestBodyLimit(t *testing.T) {
	s := newSite(t, "", newAccount("joe@example.com"))
	body := &endless{}
	r := httptest.NewRequest("POST", home+"/authorize/joe@example.com", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusSeeOther || body.read > 2*maxBody {
		t.Errorf("status %d, %d bytes read", w.Code, body.read)
	}
}

// An endless reader never reaches the end. It counts the bytes that are read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}
