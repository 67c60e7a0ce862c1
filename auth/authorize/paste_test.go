package authorize

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// paste sends what a person has pasted on the page of joe@example.com.
func (v *visit) paste(address string) *httptest.ResponseRecorder {
	return v.post("/authorize/joe@example.com/address", url.Values{"address": {address}}, "Cookie", v.cookie)
}

func TestPaste(t *testing.T) {
	for _, test := range []struct {
		name   string
		send   func(v *visit) *httptest.ResponseRecorder
		status int
		page   string
	}{
		{"not an address", func(v *visit) *httptest.ResponseRecorder { return v.paste("c0de") }, 400, "That is not the address"},
		{"a query alone", func(v *visit) *httptest.ResponseRecorder { return v.paste("?code=c0de&state=" + v.state) }, 400, "That is not the whole address"},
		{"nothing", func(v *visit) *httptest.ResponseRecorder { return v.paste("") }, 400, "That is not the address"},
		{"more than is read", func(v *visit) *httptest.ResponseRecorder {
			return v.paste("http://localhost/?code=" + strings.Repeat("c0de", maxBody) + "&state=" + v.state)
		}, 400, "That is not the address"},
		{"another state", func(v *visit) *httptest.ResponseRecorder { return v.paste("127.0.0.1:1180/callback?code=c0de&state=x") }, 400, "not expected"},
		{"a parameter that is repeated", func(v *visit) *httptest.ResponseRecorder {
			return v.paste("http://127.0.0.1:1180/callback?code=c0de&code=c0de&state=" + v.state)
		}, 400, "“code” more than once"},
		{"another browser", func(v *visit) *httptest.ResponseRecorder {
			v.cookie = ""
			return v.paste("127.0.0.1:1180/callback?code=c0de&state=" + v.state)
		}, 403, "not the browser it began in"},
		{"another site", func(v *visit) *httptest.ResponseRecorder {
			return v.post("/authorize/joe@example.com/address", url.Values{"address": {"127.0.0.1:1180/callback?code=c0de&state=" + v.state}}, "Cookie", v.cookie, "Sec-Fetch-Site", "cross-site")
		}, 403, "another web site"},
		{"an account that is not there", func(v *visit) *httptest.ResponseRecorder {
			return v.post("/authorize/x/address", url.Values{"address": {"127.0.0.1:1180/callback?code=c0de&state=" + v.state}}, "Cookie", v.cookie)
		}, 404, "no such account"},
		{"another account", func(v *visit) *httptest.ResponseRecorder {
			return v.post("/authorize/ann@example.com/address", url.Values{"address": {"127.0.0.1:1180/callback?code=c0de&state=" + v.state}}, "Cookie", v.cookie)
		}, 409, `href="/authorize/joe@example.com">Go to joe@example.com`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			v := newSite(t, "", a, newAccount("ann@example.com")).begin(a.name)
			right := *v
			w := test.send(v)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.page) {
				t.Errorf("%d, want %d with %q:\n%s", w.Code, test.status, test.page, w.Body)
			}
			if strings.Contains(w.Body.String()+v.log.String(), "c0de") {
				t.Error("what was pasted is shown or logged")
			}
			if len(a.exchanges) != 0 {
				t.Errorf("exchanged %q", a.exchanges)
			}
			// The attempt is not lost by it.
			w = right.paste("http://127.0.0.1:1180/callback?code=c0de&state=" + right.state)
			if w.Code != http.StatusSeeOther || len(a.kept) != 1 {
				t.Fatalf("%d, kept %v: %s", w.Code, a.kept, w.Body)
			}
			to := w.Header().Get("Location")
			wants(t, right.do("GET", home+to, "Cookie", right.cookie).Body.String(), "joe@example.com is authorized")
			wants(t, right.log.String(), "result=authorized client=192.0.2.1:1234")
			if w = right.paste("http://127.0.0.1:1180/callback?code=c0de&state=" + right.state); w.Code != http.StatusConflict {
				t.Errorf("pasted again: %d", w.Code)
			}
			if w = right.back("code=c0de"); w.Code != http.StatusConflict || len(a.exchanges) != 1 {
				t.Errorf("the browser came back as well: %d, %d exchanges", w.Code, len(a.exchanges))
			}
		})
	}
}

// TestWhereAPageStays is about which browsers are moved to the redirect URL's
// origin, and which stay, since nobody answers there for all that is known.
func TestWhereAPageStays(t *testing.T) {
	const stays, moves, is = "", "moves", "is there"
	for _, test := range []struct {
		name, public, redirect, at string
		want                       string
	}{
		{"the same origin", "", "http://localhost:1180/callback", "http://localhost:1180", is},
		{"another name of this machine", "", "http://localhost:1180/callback", "http://127.0.0.1:1180", moves},
		{"an IPv6 name of this machine", "http://localhost:1180", "http://localhost:1180/callback", "http://[::1]:1180", moves},
		{"public, opened on the machine", "https://mail.example.com", "https://mail.example.com/callback", "http://localhost:1180", moves},
		{"public, with the default port", "https://mail.example.com:443", "https://mail.example.com/callback", "http://localhost:1180", moves},
		{"public, opened where it is", "https://mail.example.com", "https://Mail.example.com/callback", "https://mail.example.com", is},
		{"this machine without a port", "https://mail.example.com", "http://localhost", "https://mail.example.com", stays},
		{"this machine without a port, opened there", "", "http://localhost", "http://localhost:1180", stays},
		{"another port", "", "http://localhost:8080/callback", "http://localhost:1180", stays},
		{"a tunnel on that port", "", "http://localhost:8080/callback", "http://localhost:8080", is},
		{"a tunnel on another port", "http://localhost:8080", "http://localhost:1180/callback", "http://localhost:8080", stays},
		{"the listener, seen from far away", "https://mail.example.com", "http://localhost:1180/callback", "https://mail.example.com", stays},
		{"the listener, seen from the machine", "https://mail.example.com", "http://localhost:1180/callback", "http://127.0.0.1:1180", moves},
		{"the listener does not speak TLS", "", "https://localhost:1180/callback", "http://127.0.0.1:1180", stays},
		{"another server", "https://mail.example.com", "https://elsewhere.example/callback", "https://mail.example.com", stays},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			a.redirect = test.redirect
			s := newSite(t, test.public, a)
			const path = "/authorize/joe@example.com"
			w := s.do("GET", test.at+path)
			moved := w.Code == http.StatusTemporaryRedirect
			page := w.Body.String()
			if moved != (test.want == moves) {
				t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
			}
			if moved {
				return
			}
			if got := strings.Contains(page, `target="_blank" rel="noopener"`); got != (test.want == stays) {
				t.Errorf("the provider opens in a new tab: %v", got)
			}
			if got := !strings.Contains(page, "<details>"); got != (test.want == stays) {
				t.Errorf("the place to paste can be seen: %v", got)
			}
			wants(t, page, `action="/authorize/joe@example.com/address"`)

			// From there it can be finished, with a cookie of that origin.
			w = s.do("POST", test.at+path)
			cookie := w.Result().Cookies()[0]
			if cookie.Secure != strings.HasPrefix(test.at, "https:") {
				t.Errorf("cookie %s", cookie)
			}
			v := &visit{s, cookie.Name + "=" + cookie.Value, stateOf(t, w.Header().Get("Location"))}
			w = s.do("POST", test.at+path+"/address?code=1&address="+url.QueryEscape("?code=1&state="+v.state), "Cookie", v.cookie)
			if w.Code != http.StatusBadRequest {
				t.Errorf("an address in the query, which is logged by proxies: %d", w.Code)
			}
			host, _ := url.Parse(test.at)
			w = v.post(path+"/address", url.Values{"address": {test.redirect + "?code=1&state=" + v.state}}, "Cookie", v.cookie, "Host", host.Host)
			if w.Code != http.StatusSeeOther || len(a.kept) != 1 {
				t.Errorf("%d, kept %v", w.Code, a.kept)
			}
		})
	}
}
