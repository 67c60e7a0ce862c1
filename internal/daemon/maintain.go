package daemon

import (
	"context"
	"time"
)

// maintainEvery is the time between two runs of the upkeep of the state directory.
const maintainEvery = time.Minute

// maintainState saves recognized passwords and renews the reserve on the disk, once a
// minute until ctx is done.
func (d *Daemon) maintainState(ctx context.Context) error {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.savePasswords()
			d.store.KeepReserve()
		case <-ctx.Done():
			return nil
		}
	}
}
