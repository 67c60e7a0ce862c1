package systemd

import (
	"context"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog feeds the watchdog of the unit, WatchdogSec=, until ctx is done, and
// returns at once where there is none. It asks healthy at half of the time that
// systemd allows, and feeds only if the answer is nil and came within a sixth
// of that time, when the context it is given ends. A daemon that is not well is
// asked again after another sixth, so that a slow moment does not end it; one
// that stays so, or hangs, is killed and restarted by systemd.
//
// The error is that the environment makes no sense: then nothing is fed, and
// systemd will end the daemon.
func Watchdog(ctx context.Context, healthy func(context.Context) error) error {
	allowed, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog of systemd: %w", err)
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
		if wellWithin(ctx, allowed/6, healthy) && notify(daemon.SdNotifyWatchdog) == nil {
			next.Reset(allowed / 2)
		} else {
			next.Reset(allowed / 6)
		}
	}
}

// wellWithin reports whether healthy answered nil, and in time: an answer that
// came late shows that the daemon hung, whatever it says.
func wellWithin(ctx context.Context, limit time.Duration, healthy func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return healthy(ctx) == nil && ctx.Err() == nil
}
