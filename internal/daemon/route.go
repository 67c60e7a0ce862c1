package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy/dial"
)

// A route is the way to a provider.
type route struct {
	through *url.URL // the outbound proxy of the configuration; nil: there is none
	calls   func(*http.Request) (*url.URL, error)
	mail    func(ctx context.Context, network, address string) (net.Conn, error) // nil: straight
}

// newRoute goes as the configuration says. If that says nothing, calls go as the
// environment has it: that is where a proxy for HTTP is named, which mail servers
// are rarely reached through.
func newRoute(c *config.Provider) (route, error) {
	switch c.Proxy.Reveal() {
	case "":
		return route{calls: http.ProxyFromEnvironment}, nil
	case "direct":
		return route{calls: http.ProxyURL(nil)}, nil
	}
	through, err := url.Parse(c.Proxy.Reveal())
	if err != nil {
		return route{}, errors.New("not a URL") // which may have a password, and err would show it
	}
	mail, err := dial.Through(through, c.RootCAs)
	return route{through, http.ProxyURL(through), mail}, err
}

// passwords are those of the proxies on the way to mail servers and to endpoint.
func (r route) passwords(endpoint string) (all []string) {
	proxies := []*url.URL{r.through}
	if request, err := http.NewRequest(http.MethodPost, endpoint, nil); err == nil {
		if through, err := r.calls(request); err == nil {
			proxies = append(proxies, through)
		}
	}
	for _, p := range proxies {
		if p != nil {
			password, _ := p.User.Password()
			all = append(all, password)
		}
	}
	return all
}
