package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog sends watchdog notifications to systemd until ctx is done. It returns nil
// at once if the unit has no WatchdogSec=.
//
// Watchdog calls healthy after half of WatchdogSec=, and notifies systemd only if
// healthy returns nil within a sixth of WatchdogSec=. The context of healthy ends at
// that time. After a failure it calls healthy again after another sixth, so that one
// slow moment does not stop the daemon. If the failures continue, or healthy hangs,
// systemd kills and restarts the daemon.
//
// It returns an error if the environment variables of the watchdog are invalid. It
// then sends nothing, and systemd will kill the daemon.
func (n *Notifier) Watchdog(ctx context.Context, healthy func(context.Context) error) error {
	allowed, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("systemd watchdog: %w", err)
	}
	if allowed == 0 {
		return nil
	}
	next := time.NewTimer(allowed / 2)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		if healthyWithin(ctx, allowed/6, healthy) && n.notify(daemon.SdNotifyWatchdog) == nil {
			next.Reset(allowed / 2)
		} else {
			next.Reset(allowed / 6)
		}
	}
}

// healthyWithin reports whether healthy returns nil within limit. A late nil counts
// as a failure, because the daemon did hang.
func healthyWithin(ctx context.Context, limit time.Duration, healthy func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return healthy(ctx) == nil && ctx.Err() == nil
}
