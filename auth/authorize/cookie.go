package authorize

import "net/http"

// The names of the cookie that binds a browser. Over HTTPS, the prefix __Host- prevents
// pages over plain HTTP and other hosts of the domain from setting the cookie.
const (
	plainCookie  = "xoauthd"
	secureCookie = "__Host-xoauthd"
)

// maxCookies limits the cookies of each name that xoauthd reads. A browser has one from
// xoauthd, and may have others that programs on the same host have set.
const maxCookies = 10

// cookies holds the values of the cookies of a request that may bind a browser, by name.
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
