package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A binding is what xoauthd binds. The zero value is one that is missing or wrong.
type binding struct {
	line    int
	address string // as in the configuration; empty for systemd's
	host    string
	port    uint16
	socket  string // the path of a unix socket, which has neither host nor port
	systemd string // the name of a socket that systemd binds
}

// orLocalhost returns localhost in place of 127.0.0.1 and [::1]. Links and redirect
// URIs name localhost, which browsers resolve to either. If one were free, another
// user of the machine could listen there and would receive codes and cookies.
func (e binding) orLocalhost() binding {
	if slices.Contains(localhost, e.ip()) {
		e.host = "localhost"
		e.address = "localhost:" + strconv.Itoa(int(e.port))
	}
	return e
}

// listensAt reads an address.
func (t *table) listensAt() binding {
	address := t.text("address", "")
	if path, found := strings.CutPrefix(address, "unix:"); found {
		return t.unixSocket(path)
	}
	if strings.HasPrefix(address, "/") {
		t.fault("address", "the address of a unix socket is written unix:%s", address)
		return binding{}
	}
	if address == "" {
		return binding{}
	}
	host, port, err := splitAddress(address)
	if err != nil {
		t.fault("address", "%v", err)
		return binding{}
	}
	return binding{line: t.line("address"), address: address, host: host, port: port}
}

// maxSocketPath is how long the path of a unix socket can be on Linux (unix(7)).
const maxSocketPath = 107

// unixSocket returns the socket of a path. Abstract sockets are refused: they
// have no owner and no mode.
func (t *table) unixSocket(path string) binding {
	if path == "" || path[0] == '@' {
		t.fault("address", "unix: needs the path of a file, such as unix:/run/xoauthd/imap.sock, whose mode says who may connect")
		return binding{}
	}
	if !filepath.IsAbs(path) {
		t.fault("address", "unix:%s needs a whole path, such as unix:/run/xoauthd/imap.sock", path)
		return binding{}
	}
	path = filepath.Clean(path)
	if len(path) > maxSocketPath {
		t.fault("address", "%s is %d octets long, and the path of a unix socket can have %d; choose a shorter one", path, len(path), maxSocketPath)
		return binding{}
	}
	return binding{line: t.line("address"), address: "unix:" + path, socket: path}
}

// listens notes that xoauthd listens at e, so that no two bindings clash.
func (t *table) listens(e binding) {
	if e != (binding{}) {
		t.file.listens = append(t.file.listens, e)
	}
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

// isLocal reports whether only this machine can reach e. Of one that is wrong
// nothing else is worth telling; of systemd's it is not known yet.
func (e binding) isLocal() bool {
	return e.address == "" || e.socket != "" || isLoopback(e.host)
}

// name returns e as a fault calls it.
func (e binding) name() string {
	if e.systemd != "" {
		return fmt.Sprintf("systemd: the socket %q", e.systemd)
	}
	return "address: " + e.address
}

// clashes reports whether one of the two could not be bound after the other.
func (e binding) clashes(o binding) bool {
	switch {
	case e.systemd != "" || o.systemd != "":
		return e.systemd == o.systemd
	case e.socket != "" || o.socket != "":
		return e.socket == o.socket
	case e.port != o.port || e.port == 0:
		return false
	}
	return slices.ContainsFunc(e.ips(), func(a netip.Addr) bool {
		return slices.ContainsFunc(o.ips(), func(b netip.Addr) bool {
			return a == b || a.IsUnspecified() || b.IsUnspecified()
		})
	})
}

// localhost is what the name stands for.
var localhost = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// ips returns the addresses that e stands for.
func (e binding) ips() []netip.Addr {
	switch e.host {
	case "":
		return []netip.Addr{netip.IPv6Unspecified()}
	case "localhost":
		return localhost
	}
	return []netip.Addr{e.ip()}
}

// ip returns the address that the host is; it is not valid if the host is a name.
func (e binding) ip() netip.Addr {
	ip, err := netip.ParseAddr(e.host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}
