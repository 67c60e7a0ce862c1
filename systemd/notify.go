// Package systemd implements the daemon's side of the systemd interfaces: readiness
// and shutdown notifications and the watchdog (sd_notify(3)), and socket activation
// (sd_listen_fds(3)). If systemd did not start the process, the notifications do
// nothing and return nil.
//
// This directory also holds the unit files.
package systemd

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Notifier sends notifications to systemd. The zero value is ready for use, by
// several goroutines at once. A Notifier keeps its socket open, so that it needs no
// file descriptor after Ready: a daemon that has none left must still notify the
// watchdog, because a restart would not help it.
type Notifier struct {
	mu   sync.Mutex
	conn *net.UnixConn // nil before the first notification, and after a failed one
}

// Ready tells systemd that the daemon accepts connections. systemd then considers a
// unit of Type=notify started. The status is one line of text for systemctl status.
func (n *Notifier) Ready(status string) error {
	return n.notify(daemon.SdNotifyReady, statusLine(status))
}

// Stopping tells systemd that the shutdown has begun and takes at most limit. systemd
// then waits that long, even if limit exceeds the unit's TimeoutStopSec=. The status
// is one line of text for systemctl status.
func (n *Notifier) Stopping(status string, limit time.Duration) error {
	return n.notify(daemon.SdNotifyStopping, statusLine(status), fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", limit.Microseconds()))
}

// statusLine returns the assignment of STATUS. It replaces line breaks, because
// systemd would read the text after one as another assignment.
func statusLine(status string) string {
	return "STATUS=" + strings.NewReplacer("\r", " ", "\n", " ").Replace(status)
}

// notify sends assignments in one datagram, so that systemd applies them together. If
// the open socket fails, notify tries once more with a new one: systemd may have
// replaced its own.
func (n *Notifier) notify(assignments ...string) error {
	message := []byte(strings.Join(assignments, "\n"))
	conn, isNew, err := n.open()
	if err == nil && conn == nil {
		return nil
	}
	if err == nil {
		_, err = conn.Write(message)
	}
	if err != nil && !isNew {
		n.Close()
		if conn, _, err = n.open(); err == nil {
			_, err = conn.Write(message)
		}
	}
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// open returns the socket, and whether open has just created it. The socket is nil if
// $NOTIFY_SOCKET is not set. open does not unset that variable, which a later socket
// needs.
func (n *Notifier) open() (conn *net.UnixConn, isNew bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		return n.conn, false, nil
	}
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil, true, nil
	}
	n.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	return n.conn, true, err
}

// Close closes the socket. A later notification opens a new one.
func (n *Notifier) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		return nil
	}
	conn := n.conn
	n.conn = nil
	return conn.Close()
}
