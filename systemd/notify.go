// Package systemd implements the daemon's side of the systemd interfaces: readiness
// and shutdown notifications and the watchdog (sd_notify(3)), and socket activation
// (sd_listen_fds(3)). If systemd did not start the process, the notifications do
// nothing and return nil.
//
// This directory also holds the unit files.
package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells systemd that the daemon accepts connections. systemd then considers a
// unit of Type=notify started. The status is one line of text for systemctl status.
func Ready(status string) error {
	return notify(daemon.SdNotifyReady, statusLine(status))
}

// Stopping tells systemd that the shutdown has begun and takes at most limit. systemd
// then waits that long, even if limit exceeds the unit's TimeoutStopSec=. The status
// is one line of text for systemctl status.
func Stopping(status string, limit time.Duration) error {
	return notify(daemon.SdNotifyStopping, statusLine(status), fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", limit.Microseconds()))
}

// statusLine returns the assignment of STATUS. It replaces line breaks, because
// systemd would read the text after one as another assignment.
func statusLine(status string) string {
	return "STATUS=" + strings.NewReplacer("\r", " ", "\n", " ").Replace(status)
}

// notify sends assignments in one datagram, so that systemd applies them together.
// It does not unset $NOTIFY_SOCKET, which later notifications need.
func notify(assignments ...string) error {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
