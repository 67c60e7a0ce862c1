package daemon

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

const (
	// passwordsFile is the state file with what is known of right passwords.
	passwordsFile = "passwords"

	savePasswordsEvery = time.Minute
)

// restorePasswords has passwords recognized that were right before the daemon was
// restarted. Without the file, all are checked as at the first start.
func (d *Daemon) restorePasswords() {
	data, err := d.store.LoadState(passwordsFile)
	if err == nil {
		err = d.accounts.passwords.Restore(data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("recognized passwords not loaded", "file", passwordsFile, "error", err)
	}
}

// keepPasswords saves them until ctx is done.
func (d *Daemon) keepPasswords(ctx context.Context) error {
	tick := time.NewTicker(savePasswordsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.savePasswords()
		case <-ctx.Done():
			return nil
		}
	}
}

// savePasswords saves them if there is anything new.
func (d *Daemon) savePasswords() {
	if d.accounts.passwords == nil { // the daemon did not get that far
		return
	}
	err := d.accounts.passwords.Save(func(data []byte) error { return d.store.SaveState(passwordsFile, data) })
	if err != nil {
		d.log.Warn("recognized passwords not saved", "error", err)
	}
}
