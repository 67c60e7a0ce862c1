package daemon

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/flow"
)

// maxOthers is the largest number of files that warnOfOthers names.
const maxOthers = 10

// warnOfOthers logs the files of accounts that are not in the configuration.
func (d *Daemon) warnOfOthers() {
	all := slices.Collect(maps.Keys(d.accounts.byName))
	granted := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		return d.accounts.byName[name].provider.config.Flow == flow.AppPassword // which has no grant
	})
	others, err := d.store.Others(granted, all)
	if err != nil {
		d.log.Warn("state directory not searched for grants without an account", "error", err)
	}
	if len(others) > 0 {
		d.log.Warn("grants without an account",
			"grants", len(others), "files", strings.Join(others[:min(len(others), maxOthers)], " "),
			"hint", "revoke them at the provider and remove the files")
	}
}

// openStore opens the state directory.
func openStore(c *config.Config, log *slog.Logger) (*store.Store, error) {
	e := store.Encryption{Plain: !c.Store.Encrypt, Migrate: c.Store.Migrate}
	if c.Store.Keys != "" {
		var err error
		if e.Keys, err = store.ParseKeys(c.Store.Keys.Reveal()); err != nil {
			return nil, err
		}
	}
	store, err := store.Open(c.StateDirectory, e)
	if err != nil {
		return nil, err
	}
	for _, account := range store.Recovered() {
		log.Warn("grant recovered from a temporary file: xoauthd was killed while it saved", "account", account)
	}
	for _, err := range store.Unread() {
		log.Warn("temporary file of a grant not recovered", "error", err.Error())
	}
	return store, nil
}

// rekey encrypts all grants with the first key.
func (d *Daemon) rekey() {
	written, err := d.store.Rekey()
	if written > 0 {
		d.log.Info("grants re-encrypted", "files", written, "encrypted", d.config.Store.Encrypt)
	}
	if err != nil {
		d.log.Error("grants not re-encrypted", "error", err, "hint", "keep the old key")
	}
}
