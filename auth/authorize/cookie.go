package authorize

import "net/http"

// The names of the cookie that binds a browser. The second is for HTTPS: no other
// port and no plain HTTP can set it.
const (
	plainCookie  = "xoauthd"
	secureCookie = "__Host-xoauthd"
)

// maxCookies is how many cookies of either name are looked at. A browser has one
// from here, and may have some that others of its host have set.
const maxCookies = 10

// cookies are those of a request that may bind a browser, by name.
type cookies map[string][]string

func cookiesOf(r *http.Request) cookies {
	found := make(cookies)
	for _, name := range []string{plainCookie, secureCookie} {
		for _, c := range r.CookiesNamed(name) {
			if len(found[name]) < maxCookies {
				found[name] = append(found[name], c.Value)
			}
		}
	}
	return found
}
