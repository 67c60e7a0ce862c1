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

// A route says how connections reach a provider.
type route struct {
	through *url.URL // outbound proxy of the configuration; nil: none
	calls   func(*http.Request) (*url.URL, error)
	mail    func(ctx context.Context, network, address string) (net.Conn, error) // nil: directly
}

// newRoute returns the route of the configuration. Without the key proxy, HTTP requests use
// the proxy of the environment, and connections to mail servers are direct.
func newRoute(c *config.Provider) (route, error) {
	switch c.Proxy.Reveal() {
	case "":
		return route{calls: http.ProxyFromEnvironment}, nil
	case "direct":
		return route{calls: http.ProxyURL(nil)}, nil
	}
	through, err := url.Parse(c.Proxy.Reveal())
	if err != nil {
		return route{}, errors.New("not a URL") // without err, which quotes the URL and its password
	}
	mail, err := dial.Through(through, c.RootCAs)
	return route{through, http.ProxyURL(through), mail}, err
}

// passwords returns the passwords of the proxies to mail servers and to endpoint.
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
