package daemon

import (
	"context"
	"fmt"
)

// healthy returns nil if a session can begin, every listener accepts, and every account
// answers. It needs no file descriptor: a restart would not help a daemon without free
// descriptors, and would end its sessions.
func (d *Daemon) healthy(ctx context.Context) error {
	err := d.proxy.Probe(ctx, d.listeners[0].to.Protocol)
	for _, a := range d.acceptors {
		if err == nil {
			err = a.probe(ctx)
		}
	}
	if err == nil {
		err = d.probeAccounts(ctx)
	}
	if err != nil {
		d.log.Error("health check failed", "error", err.Error())
	}
	return err
}

// probeAccounts returns an error if the lock of an account is not released before ctx is
// done.
func (d *Daemon) probeAccounts(ctx context.Context) error {
	accounts, next := d.accounts.list(), make(chan struct{})
	go func() {
		for _, a := range accounts {
			a.Status()
			select {
			case next <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for _, a := range accounts {
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("account %s does not answer: %w", a.Name(), ctx.Err())
		}
	}
	return nil
}
