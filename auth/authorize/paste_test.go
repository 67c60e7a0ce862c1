package authorize

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// paste sends the form with the pasted address on the page of joe@example.com.
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
		{"not an address", func(v *visit) *httptest.ResponseRecorder { return v.paste("c0de") }, 400, "This is not the right address"},
		{"only a query", func(v *visit) *httptest.ResponseRecorder { return v.paste("?code=c0de&state=" + v.state) }, 400, "The address is incomplete"},
		{"empty", func(v *visit) *httptest.ResponseRecorder { return v.paste("") }, 400, "This is not the right address"},
		{"longer than the limit", func(v *visit) *httptest.ResponseRecorder {
			return v.paste("http://localhost/?code=" + strings.Repeat("c0de", maxBody) + "&state=" + v.state)
		}, 400, "This is not the right address"},
		{"another state", func(v *visit) *httptest.ResponseRecorder { return v.paste("127.0.0.1:1180/callback?code=c0de&state=x") }, 400, "Unexpected response"},
		{"a repeated parameter", func(v *visit) *httptest.ResponseRecorder {
			return v.paste("http://127.0.0.1:1180/callback?code=c0de&code=c0de&state=" + v.state)
		}, 400, "“code” more than once"},
		{"another browser", func(v *visit) *httptest.ResponseRecorder {
			v.cookie = ""
			return v.paste("127.0.0.1:1180/callback?code=c0de&state=" + v.state)
		}, 403, "Started in another browser"},
		{"another site", func(v *visit) *httptest.ResponseRecorder {
			return v.post("/authorize/joe@example.com/address", url.Values{"address": {"127.0.0.1:1180/callback?code=c0de&state=" + v.state}}, "Cookie", v.cookie, "Sec-Fetch-Site", "cross-site")
		}, 403, "another website"},
		{"an unknown account", func(v *visit) *httptest.ResponseRecorder {
			return v.post("/authorize/x/address", url.Values{"address": {"127.0.0.1:1180/callback?code=c0de&state=" + v.state}}, "Cookie", v.cookie)
		}, 404, "Account not found"},
		{"another account", func(v *visit) *httptest.ResponseRecorder {
			return v.post("/authorize/ann@example.com/address", url.Values{"address": {"127.0.0.1:1180/callback?code=c0de&state=" + v.state}}, "Cookie", v.cookie)
		}, 409, `href="/authorize/joe@example.com">Go to joe@example.com`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			v := newSite(t, "", a, newAccount("ann@example.com")).begin(a.name)
			valid := *v
			w := test.send(v)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.page) {
				t.Errorf("%d, want %d with %q:\n%s", w.Code, test.status, test.page, w.Body)
			}
			if strings.Contains(w.Body.String()+v.log.String(), "c0de") {
				t.Error("the pasted text is shown or logged")
			}
			if len(a.exchanges) != 0 {
				t.Errorf("exchanged %q", a.exchanges)
			}
			// The authorization is still pending.
			w = valid.paste("http://127.0.0.1:1180/callback?code=c0de&state=" + valid.state)
			if w.Code != http.StatusSeeOther || len(a.kept) != 1 {
				t.Fatalf("%d, kept %v: %s", w.Code, a.kept, w.Body)
			}
			to := w.Header().Get("Location")
			assertContains(t, valid.do("GET", home+to, "Cookie", valid.cookie).Body.String(), "joe@example.com is authorized")
			assertContains(t, valid.log.String(), "result=authorized client=192.0.2.1:1234")
			if w = valid.paste("http://127.0.0.1:1180/callback?code=c0de&state=" + valid.state); w.Code != http.StatusConflict {
				t.Errorf("pasted again: %d", w.Code)
			}
			if w = valid.back("code=c0de"); w.Code != http.StatusConflict || len(a.exchanges) != 1 {
				t.Errorf("callback after the paste: %d, %d exchanges", w.Code, len(a.exchanges))
			}
		})
	}
}

// TestServesOrigin checks which browsers are redirected to the origin of the redirect URL,
// and which see the form to paste the address.
func TestServesOrigin(t *testing.T) {
	const pastes, redirects, same = "pastes", "redirects", "same origin"
	for _, test := range []struct {
		name, public, redirect, at string
		want                       string
	}{
		{"the same origin", "", "http://localhost:1180/callback", "http://localhost:1180", same},
		{"another name of this machine", "", "http://localhost:1180/callback", "http://127.0.0.1:1180", redirects},
		{"an IPv6 name of this machine", "http://localhost:1180", "http://localhost:1180/callback", "http://[::1]:1180", redirects},
		{"public URL, opened at localhost", "https://mail.example.com", "https://mail.example.com/callback", "http://localhost:1180", redirects},
		{"public URL with the default port", "https://mail.example.com:443", "https://mail.example.com/callback", "http://localhost:1180", redirects},
		{"public URL, opened there", "https://mail.example.com", "https://Mail.example.com/callback", "https://mail.example.com", same},
		{"this machine without a port", "https://mail.example.com", "http://localhost", "https://mail.example.com", pastes},
		{"this machine without a port, opened there", "", "http://localhost", "http://localhost:1180", pastes},
		{"another port", "", "http://localhost:8080/callback", "http://localhost:1180", pastes},
		{"a tunnel on that port", "", "http://localhost:8080/callback", "http://localhost:8080", same},
		{"a tunnel on another port", "http://localhost:8080", "http://localhost:1180/callback", "http://localhost:8080", pastes},
		{"the listener, from another machine", "https://mail.example.com", "http://localhost:1180/callback", "https://mail.example.com", pastes},
		{"the listener, from this machine", "https://mail.example.com", "http://localhost:1180/callback", "http://127.0.0.1:1180", redirects},
		{"the listener has no TLS", "", "https://localhost:1180/callback", "http://127.0.0.1:1180", pastes},
		{"another server", "https://mail.example.com", "https://elsewhere.example/callback", "https://mail.example.com", pastes},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAccount("joe@example.com")
			a.redirect = test.redirect
			s := newSite(t, test.public, a)
			const path = "/authorize/joe@example.com"
			w := s.do("GET", test.at+path)
			redirected := w.Code == http.StatusTemporaryRedirect
			page := w.Body.String()
			if redirected != (test.want == redirects) {
				t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
			}
			if redirected {
				return
			}
			if got := strings.Contains(page, `target="_blank" rel="noopener"`); got != (test.want == pastes) {
				t.Errorf("the provider opens in a new tab: %v", got)
			}
			if got := !strings.Contains(page, "<details>"); got != (test.want == pastes) {
				t.Errorf("the form to paste is visible: %v", got)
			}
			assertContains(t, page, `action="/authorize/joe@example.com/address"`)

			// The authorization can be completed there, with a cookie of that origin.
			w = s.do("POST", test.at+path)
			cookie := w.Result().Cookies()[0]
			if cookie.Secure != strings.HasPrefix(test.at, "https:") {
				t.Errorf("cookie %s", cookie)
			}
			v := &visit{s, cookie.Name + "=" + cookie.Value, stateFromURL(t, w.Header().Get("Location"))}
			w = s.do("POST", test.at+path+"/address?code=1&address="+url.QueryEscape("?code=1&state="+v.state), "Cookie", v.cookie)
			if w.Code != http.StatusBadRequest {
				t.Errorf("an address in the query, which proxies log: %d", w.Code)
			}
			host, _ := url.Parse(test.at)
			w = v.post(path+"/address", url.Values{"address": {test.redirect + "?code=1&state=" + v.state}}, "Cookie", v.cookie, "Host", host.Host)
			if w.Code != http.StatusSeeOther || len(a.kept) != 1 {
				t.Errorf("%d, kept %v", w.Code, a.kept)
			}
		})
	}
}
