package daemon

import (
	"net/http"
	"slices"
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

func TestRoutePasswords(t *testing.T) {
	const endpoint = "https://example.com/token"
	r, err := newRoute(&config.Provider{Proxy: "http://joe:s3cret@proxy.example:3128"})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.passwords(endpoint); !slices.Equal(got, []string{"s3cret", "s3cret"}) {
		t.Errorf("%q", got)
	}
	r, err = newRoute(&config.Provider{Proxy: "socks5://proxy.example:1080"})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.passwords(endpoint); !slices.Equal(got, []string{"", ""}) {
		t.Errorf("%q", got)
	}
	for _, r := range []route{{calls: http.ProxyURL(nil)}, {calls: http.ProxyFromEnvironment}} {
		if got := r.passwords("%"); got != nil {
			t.Errorf("%q", got)
		}
	}
}
