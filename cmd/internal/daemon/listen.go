package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/xoauthd/xoauthd/cmd/internal/control"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
)

// A listener is a place where mail programs come in.
type listener struct {
	net.Listener
	to  *proxy.Listener
	tls string // as in the configuration
}

// listen opens all that others connect to. Every fault is told at once.
func (d *Daemon) listen() error {
	var faults []error
	var err error
	if d.certificates, err = readCertificates(d.config, d.log); err != nil {
		faults = append(faults, err)
	}
	for i, l := range d.config.Listeners {
		if err := d.openListener(l); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: listener %d: %w", d.config.File, l.Line, i+1, err))
		}
	}
	if d.config.Metrics != nil {
		if d.metrics, err = d.openMetrics(); err != nil {
			faults = append(faults, fmt.Errorf("[metrics]: %w", err))
		}
	}
	if d.config.Web != nil {
		if d.web, err = d.openWeb(); err != nil {
			faults = append(faults, fmt.Errorf("[web]: %w", err))
		}
	}
	if d.control, err = control.Listen(d.config.StateDirectory); err != nil {
		faults = append(faults, fmt.Errorf("socket for commands: %w", err))
	}
	if len(faults) == 0 {
		d.wrapListeners()
	}
	return errors.Join(faults...)
}

// openListener opens a listener, at all the addresses that it has.
func (d *Daemon) openListener(l config.Listener) error {
	to := d.behind(l)
	if len(to.LocalUsers) > 0 {
		if err := checkUsers("/proc", to.LocalUsers); err != nil {
			return fmt.Errorf("local_users: %w", err)
		}
	}
	all, err := openAll(l.Address, l.Socket)
	for _, ln := range all {
		d.listeners = append(d.listeners, listener{ln, to, l.TLS})
	}
	return err
}

// behind is what sessions are to know of the listener that they come from.
func (d *Daemon) behind(l config.Listener) *proxy.Listener {
	to := &proxy.Listener{
		Protocol:   l.Protocol,
		Provider:   l.Provider,
		Upstreams:  d.accounts.upstreams(l.Protocol, l.Provider),
		Begin:      map[string]proxy.Begin{"implicit": proxy.ImplicitTLS, "auto": proxy.AnyTLS}[l.TLS],
		RequireTLS: l.RequireTLS,
		Proxies:    l.Proxies,
		LocalUsers: l.LocalUsers,
		OwnTokens:  l.ClientTokens,
	}
	if offersTLS(l) {
		to.TLS = d.certificates.serverConfig(l)
	}
	return to
}

// offersTLS reports whether clients can begin TLS.
func offersTLS(l config.Listener) bool { return l.TLS != "" && l.TLS != "none" }

// openAll opens every address that address stands for: localhost is two.
func openAll(address string, socket config.Socket) ([]net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		ln, err := openSocket(path, socket)
		if err != nil {
			return nil, err
		}
		return []net.Listener{ln}, nil
	}
	if host, port, err := net.SplitHostPort(address); err == nil && strings.EqualFold(host, "localhost") {
		return openLocalhost(port)
	}
	ln, err := open(address)
	if err != nil {
		return nil, err
	}
	return []net.Listener{ln}, nil
}

// openLocalhost listens at 127.0.0.1 and ::1, at the same port of both, unless
// this machine has no IPv6.
func openLocalhost(port string) ([]net.Listener, error) {
	for attempt := 1; ; attempt++ {
		four, err := open(net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		_, chosen, err := net.SplitHostPort(four.Addr().String())
		if err != nil {
			return nil, errors.Join(err, four.Close())
		}
		six, err := open(net.JoinHostPort("::1", chosen))
		switch {
		case err == nil:
			return []net.Listener{four, six}, nil
		case errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT):
			return []net.Listener{four}, nil
		}
		four.Close()
		// A port that the system chose for the one may be taken for the other.
		if chosen == port || attempt == 10 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
}

// open listens at host:port, and says what to do where that fails.
func open(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: %s; \"ss -ltnp\" shows which", err, usedBy(holder(address)))
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%w: a port below 1024 needs CapabilityBoundingSet=CAP_NET_BIND_SERVICE and AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%w: no interface of this machine has this address", err)
	}
	return ln, err
}

// usedBy says who uses a port, whose user may not be known.
func usedBy(user string) string {
	if user == "" {
		return "another program uses this port"
	}
	return "a program of the user " + user + " uses this port"
}

// checkUsers says whether the system at proc tells users from each other.
func checkUsers(proc string, users []uint32) error {
	uidMap, err := os.ReadFile(filepath.Join(proc, "self/uid_map"))
	if errors.Is(err, fs.ErrNotExist) {
		// A Linux without namespaces of users has none, but the rest of proc(5).
		_, err = os.Stat(filepath.Join(proc, "self/status"))
	}
	if err != nil {
		return fmt.Errorf("%w: users can be told from each other only by proc(5) of Linux; take local_users away here", err)
	}
	return usersAreTold(string(uidMap), users)
}

// usersAreTold says whether the system tells each of users from all others, as
// uidMap has it (user_namespaces(7)): who is not in that looks like the last user
// of 16 bits but one, nobody. In the namespace of the machine itself all are.
func usersAreTold(uidMap string, users []uint32) error {
	const nobody, everybody = 65534, 1<<32 - 1
	var told [][2]uint64 // from, to
	for line := range strings.Lines(uidMap) {
		var inside, outside, count uint64
		if n, err := fmt.Sscan(line, &inside, &outside, &count); n < 3 {
			return fmt.Errorf("/proc/self/uid_map: %w", err)
		}
		if count == everybody {
			return nil
		}
		told = append(told, [2]uint64{inside, inside + count})
	}
	for _, u := range users {
		known := slices.ContainsFunc(told, func(r [2]uint64) bool { return r[0] <= uint64(u) && uint64(u) < r[1] })
		if len(told) > 0 && (!known || u == nobody) {
			return fmt.Errorf("user %d cannot be told from others here: the unit must not have PrivateUsers=", u)
		}
	}
	return nil
}
