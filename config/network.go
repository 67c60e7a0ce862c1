package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// url reads a URL that may carry secrets. It must use https or a loopback host.
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

// pageURL reads the URL of a page of xoauthd: without a query, and with a clean path.
func (t *table) pageURL(key, def string) string {
	s := t.url(key, def)
	u, err := url.Parse(s)
	switch {
	case s == def || err != nil:
		return s
	case strings.Contains(s, "?"):
		t.fault(key, "must not contain ?")
	case u.Path != "" && strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(path.Clean(u.Path), "/"):
		t.fault(key, "the path must not contain . or .. or //; write %s", path.Clean(u.Path))
	}
	return s
}

// checkURL returns an error, without s, if s is not a safe URL. s may hold a password.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("must be a URL that begins with https:// and a host")
	case u.User != nil:
		return errors.New("must not contain a user name or password")
	case strings.Contains(s, "#"):
		return errors.New("must not contain #")
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https://, because http is safe only on this machine")
}

// host reads the host name or the IP address of a server.
func (t *table) host(key, def string) string {
	s := t.text(key, def)
	if _, err := netip.ParseAddr(s); err != nil && strings.ContainsAny(s, ":/@[] ") {
		t.fault(key, "%q is not a host name; set the port with the key port", s)
	}
	return s
}

// networks reads a list of addresses and networks.
func (t *table) networks(key string) (networks []netip.Prefix) {
	for i, s := range t.texts(key, nil) {
		if checkLine(s) != nil {
			continue // already reported
		}
		n, err := parseNetwork(s)
		if err != nil {
			t.file.fault(t.pos.key(key).item(i).line(), "%s: %v", key, err)
			continue
		}
		networks = append(networks, n)
	}
	return networks
}

// parseNetwork parses a network in CIDR notation, or an address as a network of one. It
// rejects an address with host bits in a network, because the intent is unclear.
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
		return n, fmt.Errorf("%s is an IPv4 network in IPv6 notation; write the IPv4 network, such as 192.0.2.0/24", s)
	case n != n.Masked():
		return n, fmt.Errorf("%s is an address within a network; write %s for the network, or %s for the single address", s, n.Masked(), n.Addr())
	}
	return n, nil
}
