package daemon

import (
	"errors"
	"io/fs"
)

// passwordsFile is the state file of the password cache.
const passwordsFile = "passwords"

// restorePasswords loads the password cache of the last run. Without the file, the cache is
// empty.
func (d *Daemon) restorePasswords() {
	data, err := d.store.LoadState(passwordsFile)
	if err == nil {
		err = d.accounts.passwords.Restore(data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("recognized passwords not loaded", "file", passwordsFile, "error", err)
	}
}

// savePasswords saves the password cache if it has changed.
func (d *Daemon) savePasswords() {
	if d.accounts.passwords == nil { // the start failed before
		return
	}
	err := d.accounts.passwords.Save(func(data []byte) error { return d.store.SaveState(passwordsFile, data) })
	if err != nil {
		d.log.Warn("recognized passwords not saved", "error", err)
	}
}
