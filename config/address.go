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

// A binding is an address that xoauthd, or systemd for it, listens on. The zero value
// stands for a missing or invalid address.
type binding struct {
	line    int
	address string // as in the configuration; empty for a socket of systemd
	host    string
	port    uint16
	socket  string // path of a unix socket, which has no host and port
	systemd string // name of a socket of systemd
}

// orLocalhost returns b with the host localhost instead of 127.0.0.1 or [::1]. Links and
// redirect URIs contain localhost, which browsers resolve to either address. If xoauthd
// listened on only one of them, another local user could listen on the other and receive
// codes and cookies.
func (b binding) orLocalhost() binding {
	if slices.Contains(localhost, b.ip()) {
		b.host = "localhost"
		b.address = "localhost:" + strconv.Itoa(int(b.port))
	}
	return b
}

// addressBinding reads the key address.
func (t *table) addressBinding() binding {
	address := t.text("address", "")
	if path, found := strings.CutPrefix(address, "unix:"); found {
		return t.unixSocket(path)
	}
	if strings.HasPrefix(address, "/") {
		t.fault("address", "write the address of a unix socket as unix:%s", address)
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

// CheckSocketPath returns an error if path is too long for a unix socket.
func CheckSocketPath(path string) error {
	const most = 107 // bytes (unix(7))
	if len(path) > most {
		return fmt.Errorf("%s is %d bytes long, but the path of a unix socket can have at most %d; choose a shorter path", path, len(path), most)
	}
	return nil
}

// unixSocket returns the binding of a unix socket. It rejects abstract sockets, which
// have no owner and no mode.
func (t *table) unixSocket(path string) binding {
	if path == "" || path[0] == '@' {
		t.fault("address", "unix: needs a path, such as unix:/run/xoauthd/imap.sock; abstract sockets are not supported, because they have no mode")
		return binding{}
	}
	if !filepath.IsAbs(path) {
		t.fault("address", "unix:%s is not an absolute path, such as unix:/run/xoauthd/imap.sock", path)
		return binding{}
	}
	path = filepath.Clean(path)
	if err := CheckSocketPath(path); err != nil {
		t.fault("address", "%v", err)
		return binding{}
	}
	return binding{line: t.line("address"), address: "unix:" + path, socket: path}
}

// addBinding records b for checkBindings. It ignores the zero value.
func (t *table) addBinding(b binding) {
	if b != (binding{}) {
		t.file.bindings = append(t.file.bindings, b)
	}
}

// splitAddress splits host:port. It rejects host names other than localhost, because a
// name can resolve to different machines over time. Port 0 lets the system choose.
func splitAddress(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port, such as 127.0.0.1:1143 or [::1]:1143", address)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not a port number from 0 to 65535", service)
	}
	host = strings.ToLower(host)
	if _, err := netip.ParseAddr(host); err != nil && host != "" && host != "localhost" {
		return "", 0, fmt.Errorf("%q is neither an IP address nor localhost", host)
	}
	return host, uint16(n), nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// isLocal reports whether only this machine can reach b. It reports true for an invalid
// binding, which has a fault already, and false for a socket of systemd, whose address is
// not known yet.
func (b binding) isLocal() bool {
	return b.address == "" || b.socket != "" || isLoopback(b.host)
}

// name returns the name of b in faults.
func (b binding) name() string {
	if b.systemd != "" {
		return fmt.Sprintf("systemd: the socket %q", b.systemd)
	}
	return "address: " + b.address
}

// clashes reports whether b and o cannot both be bound.
func (b binding) clashes(o binding) bool {
	switch {
	case b.systemd != "" || o.systemd != "":
		return b.systemd == o.systemd
	case b.socket != "" || o.socket != "":
		return b.socket == o.socket
	case b.port != o.port || b.port == 0:
		return false
	}
	return slices.ContainsFunc(b.ips(), func(x netip.Addr) bool {
		return slices.ContainsFunc(o.ips(), func(y netip.Addr) bool {
			return x == y || x.IsUnspecified() || y.IsUnspecified()
		})
	})
}

// localhost are the addresses of the name localhost.
var localhost = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// ips returns the addresses that b binds.
func (b binding) ips() []netip.Addr {
	switch b.host {
	case "":
		return []netip.Addr{netip.IPv6Unspecified()}
	case "localhost":
		return localhost
	}
	return []netip.Addr{b.ip()}
}

// ip returns the host as an address. The address is invalid if the host is a name.
func (b binding) ip() netip.Addr {
	ip, err := netip.ParseAddr(b.host)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}
