package daemon

import (
	"errors"
	"io/fs"
)

// passwordsFile is the state file with what is known of right passwords.
const passwordsFile = "passwords"

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
