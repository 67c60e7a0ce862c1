package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/systemd"
)

// An opener opens listeners: it uses the sockets that systemd has passed, and creates the
// others.
type opener struct {
	handed []systemd.Socket // not used yet
	log    *slog.Logger
}

// open returns the listeners of an endpoint.
func (o *opener) open(e config.Endpoint) ([]net.Listener, error) {
	if len(e.LocalUsers) > 0 {
		if err := checkUsers("/proc", e.LocalUsers); err != nil {
			return nil, fmt.Errorf("local_users: %w", err)
		}
	}
	if e.Systemd != "" {
		return o.named(e)
	}
	if host, port, err := net.SplitHostPort(e.Address); err == nil && strings.EqualFold(host, "localhost") {
		return o.localhost(port)
	}
	var ln net.Listener
	var err error
	if path, ok := strings.CutPrefix(e.Address, "unix:"); ok {
		ln, err = o.unix(path, e.Socket)
	} else {
		ln, err = o.tcp(e.Address)
	}
	if err != nil {
		return nil, err
	}
	return []net.Listener{ln}, nil
}

// named returns the sockets of systemd with the name in e.
func (o *opener) named(e config.Endpoint) ([]net.Listener, error) {
	var all []net.Listener
	var faults []error
	for {
		ln := o.take(func(s systemd.Socket) bool { return s.Name == e.Systemd })
		if ln == nil {
			break
		}
		if all = append(all, ln); e.LocalOnly != "" && !isLocal(ln.Addr()) {
			faults = append(faults, fmt.Errorf("systemd socket %q: %s can be reached from other machines, and %s", e.Systemd, ln.Addr(), e.LocalOnly))
		}
	}
	switch {
	case len(faults) > 0:
		for _, ln := range all {
			ln.Close()
		}
		return nil, errors.Join(faults...)
	case len(all) == 0:
		return nil, fmt.Errorf(`systemd has passed no socket named %q: run "systemctl enable --now xoauthd-%[1]s.socket" and start xoauthd by systemctl; a socket unit of your own needs FileDescriptorName=%[1]s and Service=xoauthd.service`, e.Systemd)
	}
	return all, nil
}

// isLocal reports whether only this machine can connect to an address.
func isLocal(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// take returns a matching socket of systemd, or nil.
func (o *opener) take(fits func(systemd.Socket) bool) net.Listener {
	i := slices.IndexFunc(o.handed, fits)
	if i < 0 {
		return nil
	}
	s := o.handed[i]
	o.handed = slices.Delete(o.handed, i, i+1)
	o.log.Info("socket of systemd", "name", s.Name, "address", s.Addr().String())
	return s.Listener
}

// unclaimed closes the unused sockets of systemd, and returns an error for each: clients
// would connect and wait forever.
func (o *opener) unclaimed() []error {
	var faults []error
	for _, s := range o.handed {
		address := s.Addr().String()
		if s.Addr().Network() == "unix" {
			address = "unix:" + address
		} else if host, port, _ := net.SplitHostPort(address); host == "127.0.0.1" || host == "::1" {
			address = "localhost:" + port
		}
		faults = append(faults, fmt.Errorf(`systemd socket %q at %s belongs to no [[listener]], [web] or [metrics]: write systemd = %[1]q or address = %[3]q there, or disable its unit`, s.Name, s.Addr(), address))
		s.Close()
	}
	o.handed = nil
	return faults
}

// localhost listens on the same port of 127.0.0.1 and ::1, unless this machine has no
// IPv6.
func (o *opener) localhost(port string) ([]net.Listener, error) {
	for attempt := 1; ; attempt++ {
		four, err := o.tcp(net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		_, chosen, err := net.SplitHostPort(four.Addr().String())
		if err != nil {
			return nil, errors.Join(err, four.Close())
		}
		six, err := o.tcp(net.JoinHostPort("::1", chosen))
		switch {
		case err == nil:
			return []net.Listener{four, six}, nil
		case errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT):
			return []net.Listener{four}, nil
		}
		four.Close()
		// The port that the system chose for IPv4 may be in use for IPv6.
		if chosen == port || attempt == 10 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
}

// tcp listens at host:port.
func (o *opener) tcp(address string) (net.Listener, error) {
	want, err := addressOf(address)
	if err != nil {
		return nil, err
	}
	if ln := o.take(func(s systemd.Socket) bool {
		at, err := addressOf(s.Addr().String())
		return err == nil && at == want
	}); ln != nil {
		return ln, nil
	}
	return open(address)
}

// addressOf returns the address that host:port binds. No host, 0.0.0.0 and [::] are the
// same: all addresses of IPv4 and IPv6 (see net.Listen).
func addressOf(address string) (netip.AddrPort, error) {
	if strings.HasPrefix(address, ":") {
		address = "[::]" + address
	}
	a, err := netip.ParseAddrPort(address)
	ip := a.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(ip, a.Port()), err
}

// unix listens at the path of a unix socket.
func (o *opener) unix(path string, want config.Socket) (net.Listener, error) {
	ln := o.take(func(s systemd.Socket) bool {
		return s.Addr().Network() == "unix" && s.Addr().String() == path
	})
	if ln == nil {
		return openSocket(path, want)
	}
	if err := checkSocket(path, want); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// checkSocket returns an error if a socket of systemd does not have the configured owner
// and mode.
func checkSocket(path string, want config.Socket) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode().Perm() != want.Mode:
		return fmt.Errorf("the socket unit gives %s the mode %04o, and socket_mode is %04o: write SocketMode=%04[3]o in the unit", path, info.Mode().Perm(), want.Mode)
	case want.UID >= 0 && uint32(want.UID) != owner.Uid:
		return fmt.Errorf("the socket unit gives %s to the user %d, and socket_user is %d: write SocketUser=%[3]d in the unit", path, owner.Uid, want.UID)
	case want.GID >= 0 && uint32(want.GID) != owner.Gid:
		return fmt.Errorf("the socket unit gives %s to the group %d, and socket_group is %d: write SocketGroup=%[3]d in the unit", path, owner.Gid, want.GID)
	}
	return nil
}

// open listens on host:port. Its errors contain the remedy.
func open(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: %s; \"ss -ltnp\" shows which", err, usedBy(holder(address)))
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%w: a port below 1024 needs CapabilityBoundingSet=CAP_NET_BIND_SERVICE and AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a socket unit", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%w: no interface of this machine has this address", err)
	}
	return ln, err
}

// usedBy describes the user of a port; empty means unknown.
func usedBy(user string) string {
	if user == "" {
		return "another program uses this port"
	}
	return "a program of the user " + user + " uses this port"
}
