package daemon

import (
	"fmt"
	"syscall"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/gateway"
)

// The maximum of file descriptors that the parts of the daemon need.
const (
	perSession  = 3  // the client's, and two while a dial tries two addresses
	perListener = 6  // two addresses, each with a socket, a copy and a lookup of sources
	perHTTP     = 4  // the client's, and those to the provider and the mail servers
	apiConns    = 64 // 8 requests of each of 6 kinds to the admin API, and 16 idle connections
	perMessage  = 2  // of a gateway: a file, and the connection to the provider
	otherFiles  = 80 // the log, the store with its reserve, the Go runtime, renewals

	fewestSessions = 10
)

// hintFiles is the remedy if there are too few file descriptors.
const hintFiles = "allow xoauthd more open files: LimitNOFILE= in the unit, or ulimit -n"

// A budget divides the descriptors of the process among its parts, so that the
// clients of one part cannot use up those of another.
type budget struct {
	sessions int // limits.sessions, or fewer
	http     int // connections of each HTTP endpoint
}

// newBudget returns the budget for c if allowed files may be open. It returns an error if
// they are too few for a useful daemon.
func newBudget(c *config.Config, allowed uint64) (budget, error) {
	b := budget{sessions: c.Limits.Sessions, http: int(min(max(allowed/64, 8), maxHTTP))}
	endpoints := 0
	if c.Web != nil {
		endpoints++
	}
	if c.Metrics != nil {
		endpoints++
	}
	gateways := 0
	for _, p := range c.Providers {
		if p.SMTPAPI != nil {
			gateways++
		}
	}
	for _, l := range c.Listeners {
		if l.Devices != nil {
			gateways++
		}
	}
	fixed := otherFiles + perMessage*gateway.MaxMessages*gateways + 2*apiConns + perListener*(len(c.Listeners)+endpoints) + endpoints*b.http*perHTTP
	need := func(sessions int) int {
		return fixed + perSession*proxy.Limits{Sessions: sessions}.Connections()
	}
	if least := need(min(fewestSessions, b.sessions)); uint64(least) > allowed {
		return b, fmt.Errorf("only %d files may be open, and at least %d are needed: %s", allowed, least, hintFiles)
	}
	for uint64(need(b.sessions)) > allowed {
		b.sessions--
	}
	return b, nil
}

// warnOfFiles logs that fewer sessions are allowed than the configuration asks for.
func (d *Daemon) warnOfFiles() {
	if d.budget.sessions < d.config.Limits.Sessions {
		d.log.Warn("limits.sessions lowered: too few file descriptors", "sessions", d.budget.sessions,
			"configured", d.config.Limits.Sessions, "open_files_allowed", openFiles(), "hint", hintFiles)
	}
}

// openFiles returns how many files this process may open. Go has raised the soft limit to
// the hard limit.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1 << 20 // not known
	}
	return uint64(limit.Cur) // signed on some systems
}
