package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// local returns the address at key, where xoauthd itself listens. If harm
// says what harm it would do, no other machine may reach the address.
func (t *table) local(key, harm string) string {
	address := t.text(key, "")
	if address == "" {
		return ""
	}
	host, port, err := splitAddress(address)
	switch {
	case err != nil:
		t.fault(key, "%v", err)
		return ""
	case harm != "" && !isLoopback(host):
		t.fault(key, "%s is not of this machine only, and %s; use 127.0.0.1, [::1] or localhost", address, harm)
		return ""
	}
	t.file.listens = append(t.file.listens, endpoint{t.line(key), address, host, port})
	return address
}

// splitAddress takes host:port apart. A host that is a name could be one
// machine today and another tomorrow, so there is only localhost. The port 0
// lets the system choose.
func splitAddress(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port, such as 127.0.0.1:1143 or [::1]:1143", address)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not a port; it is a number up to 65535", service)
	}
	host = strings.ToLower(host)
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "", 0, fmt.Errorf("%q is not an IP address, nor localhost", host)
	}
	return host, uint16(n), nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// An endpoint is an address that xoauthd listens at.
type endpoint struct {
	line    int
	address string
	host    string
	port    uint16
}

// clashes reports whether one of the two could not be bound after the other.
func (e endpoint) clashes(o endpoint) bool {
	if e.port != o.port || e.port == 0 {
		return false
	}
	a, b := e.ip(), o.ip()
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

func (e endpoint) ip() netip.Addr {
	switch e.host {
	case "":
		return netip.IPv6Unspecified()
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip, _ := netip.ParseAddr(e.host) // splitAddress has seen to it
	return ip.Unmap()
}

// networks reads networks, of which an address alone is one.
func (t *table) networks(key string) (networks []netip.Prefix) {
	for i, s := range t.texts(key, nil) {
		network, err := parseNetwork(s)
		if err != nil && oneLine(s) == nil { // else it has been told
			t.file.fault(t.place.key(key).item(i).at(), "%s: %v", key, err)
		}
		networks = append(networks, network)
	}
	return networks
}

func parseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		return p, fmt.Errorf("%q is not an IP address or a network, such as 192.0.2.7 or 192.0.2.0/24", s)
	case p != p.Masked():
		return p, fmt.Errorf("%s is an address in the network %s; write the one or the other", s, p.Masked())
	}
	return p, nil
}

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
