package authorize

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzParseResponse checks that every parsed response has a state, a code or an error, and
// an address, and that errors do not quote the input.
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
		case err != nil && err != errNoResponse && err != errIncomplete:
			t.Errorf("error %q", err)
		}
	})
}

// FuzzRequest checks that every reply is a page that escapes the input, or a redirect to
// the provider or to another page, and that the log contains neither tokens nor the state.
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
			t.Errorf("redirected to %q", to)
		}
		if strings.Contains(w.Body.String(), "<q") {
			t.Errorf("page: %s", w.Body)
		}
		if log := s.log.String(); strings.Contains(log, v.state) || strings.Contains(log, "token-for-") {
			t.Errorf("log: %s", log)
		}
	})
}
