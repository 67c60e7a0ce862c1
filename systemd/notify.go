// Package systemd is what the daemon says to the service manager that started
// it: that it serves, that it stops, that it is still well. Started by anything
// else, it says nothing, and that is not an error.
//
// The units for it are beside the code.
package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the daemon serves: a unit of Type=notify is only then
// started. The status is a line for people, shown by systemctl status.
func Ready(status string) error {
	return notify(daemon.SdNotifyReady, statusLine(status))
}

// Stopping says that the daemon has begun to end, with a line about it, and how
// long that takes at most. If that is longer than the unit's TimeoutStopSec, the
// manager waits for it all the same.
func Stopping(status string, most time.Duration) error {
	return notify(daemon.SdNotifyStopping, statusLine(status), fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", most.Microseconds()))
}

// statusLine is the assignment of a status. What follows a line break would be
// an assignment of its own.
func statusLine(status string) string {
	return "STATUS=" + strings.NewReplacer("\r", " ", "\n", " ").Replace(status)
}

// notify sends assignments, sd_notify(3), in one datagram, so that they hold
// together. The environment is kept: there is more to come.
func notify(assignments ...string) error {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
