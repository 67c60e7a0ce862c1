package authorize

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzParseResponse: whatever is pasted, a response has a state, a code or an
// error, and an address; and no error repeats anything of it.
func FuzzParseResponse(f *testing.F) {
	for _, seed := range []string{
		"http://localhost:1180/callback?code=c0de&state=5tate", "code=c0de&state=5tate", "?error=access_denied&state=5tate",
		"<http://localhost/\n callback?code=c0de&\nstate=5tate>", "http://localhost/callback#code=c0de&state=5tate", "%zz", "state=", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pasted string) {
		r, err := parseResponse(pasted)
		switch {
		case err == nil && (r.Get("state") == "" || r.Get("code") == "" && r.Get("error") == "" || r.host == "" || r.path == ""):
			t.Errorf("response %v", r)
		case err != nil && err != errNoResponse && err != errNoAddress:
			t.Errorf("error %q", err)
		}
	})
}

// FuzzRequest: whatever a browser sends, it gets a page with nothing of that in
// it unescaped, or is sent to the provider or to another page of ours; and
// neither what the provider gave nor the state is logged.
func FuzzRequest(f *testing.F) {
	const mark = "<q>\r\n\"'"
	for _, path := range []string{"", "callback", "authorize/joe@example.com", "authorize/joe@example.com/address", "authorize/" + mark, "result/x", "style.css", "//evil.example"} {
		for _, query := range []string{"", "state=STATE&code=c0de", "state=STATE&error=access_denied&error_description=%3Cq%3E", "state=STATE&iss=%3Cq%3E&code=c0de", "code=%3Cq%3E"} {
			f.Add(false, path, query, "")
		}
		f.Add(true, path, "", "address=http://127.0.0.1:1180/callback?code=c0de%26state=STATE")
		f.Add(true, path, "", "address=%3Cq%3E")
	}
	f.Fuzz(func(t *testing.T, post bool, path, query, form string) {
		s := newSite(t, "", newAccount("joe@example.com"))
		v := s.begin("joe@example.com")
		r := httptest.NewRequest("GET", home+"/", strings.NewReader(strings.ReplaceAll(form, "STATE", v.state)))
		if post {
			r.Method = "POST"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		r.URL.Path, r.URL.RawQuery = "/"+path, strings.ReplaceAll(query, "STATE", v.state)
		w := s.send(r, "Cookie", v.cookie)
		if h := w.Header(); w.Code >= 500 || h.Get("X-Frame-Options") != "DENY" || !strings.HasPrefix(h.Get("Content-Security-Policy"), policy) {
			t.Errorf("%d %v", w.Code, h)
		}
		to := w.Header().Get("Location")
		if strings.HasPrefix(to, "//") || to != "" && to[0] != '/' && !strings.HasPrefix(to, "https://provider.example/authorize?") {
			t.Errorf("sent to %q", to)
		}
		if strings.Contains(w.Body.String(), "<q") {
			t.Errorf("page: %s", w.Body)
		}
		if log := s.log.String(); strings.Contains(log, v.state) || strings.Contains(log, "token-for-") {
			t.Errorf("log: %s", log)
		}
	})
}
