package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// url reads a URL that may carry secrets: it is https, or leads to this
// machine.
func (t *table) url(key, def string) string {
	s := t.text(key, "")
	if s == "" {
		return def
	}
	if err := checkURL(s); err != nil {
		t.fault(key, "%v", err)
		return def
	}
	return s
}

// pageURL reads the URL at which browsers find a page of ours.
func (t *table) pageURL(key, def string) string {
	s := t.url(key, def)
	u, err := url.Parse(s)
	switch {
	case s == def || err != nil:
		return s
	case strings.Contains(s, "?"):
		t.fault(key, "must hold no ?")
	case u.Path != "" && strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(path.Clean(u.Path), "/"):
		t.fault(key, "the path must be plain; write %s", path.Clean(u.Path))
	}
	return s
}

// checkURL does not show the URL, which may hold a password.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("must be a URL that begins with https:// and a host")
	case u.User != nil:
		return errors.New("must hold no user name and password")
	case strings.Contains(s, "#"):
		return errors.New("must hold no #")
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https://, for plain http is safe only within this machine")
}

// host reads the host name, or the IP address, of a server.
func (t *table) host(key, def string) string {
	s := t.text(key, def)
	if _, err := netip.ParseAddr(s); err != nil && strings.ContainsAny(s, ":/@[] ") {
		t.fault(key, "%q is not a host name; the port has a key of its own", s)
	}
	return s
}

// networks reads addresses and networks, of clients or of load balancers.
func (t *table) networks(key string) (networks []netip.Prefix) {
	for i, s := range t.texts(key, nil) {
		if oneLine(s) != nil {
			continue // told already
		}
		n, err := parseNetwork(s)
		if err != nil {
			t.file.fault(t.place.key(key).item(i).at(), "%s: %v", key, err)
			continue
		}
		networks = append(networks, n)
	}
	return networks
}

// parseNetwork takes an address alone for a network of one. What looks like a
// network and is an address in it could be meant as either.
func parseNetwork(s string) (netip.Prefix, error) {
	ip, err := netip.ParseAddr(s)
	if err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return n, fmt.Errorf("%q is neither an IP address nor a network, such as 192.0.2.7 or 192.0.2.0/24", s)
	case n.Addr().Is4In6():
		return n, fmt.Errorf("%s is written in the way of IPv6; write the IPv4 network itself, such as 192.0.2.0/24", s)
	case n != n.Masked():
		return n, fmt.Errorf("%s is an address within a network; write %s for the network, or %s for the address alone", s, n.Masked(), n.Addr())
	}
	return n, nil
}
