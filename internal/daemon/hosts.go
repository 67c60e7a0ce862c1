package daemon

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guardHosts accepts requests for an IP address, for localhost and for hosts. Another name
// may belong to a hostile page that resolves its own name to this machine (DNS rebinding)
// and could read the answer. Browsers always send a name, so a request without one
// (HTTP/1.0) does not come from a browser.
func guardHosts(hosts []string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostName(r.Host)
		if _, err := netip.ParseAddr(name); err != nil && name != "" && name != "localhost" && !slices.Contains(hosts, name) {
			http.Error(w, fmt.Sprintf("%q is not a name of this endpoint: add it to hosts in [metrics], or use the IP address", name), http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostName returns the host of host, or host:port, in lower case.
func hostName(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(host)
}
