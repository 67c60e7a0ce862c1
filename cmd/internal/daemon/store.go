package daemon

import (
	"log/slog"
	"strings"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
)

// maxOthers is how many of them are named.
const maxOthers = 10

// warnOfOthers tells of grants that no account uses and no command reaches.
func (d *Daemon) warnOfOthers() {
	names := make([]string, 0, len(d.accounts.all))
	for name, a := range d.accounts.byName {
		if a.provider.config.Flow != "app_password" { // which has no grant
			names = append(names, name)
		}
	}
	others, err := d.store.Others(names)
	if err != nil {
		d.log.Warn("cannot look for grants without an account", "why", err)
	}
	if len(others) > 0 {
		d.log.Warn("grants have no account in the configuration: have the provider take back what a person gave, and remove the files",
			"number", len(others), "files", strings.Join(others[:min(len(others), maxOthers)], " "))
	}
}

// openStore opens the store of the configuration.
func openStore(c *config.Config, log *slog.Logger) (*auth.Store, error) {
	e := auth.Encryption{Plain: !c.Store.Encrypt, Migrate: c.Store.Migrate}
	if c.Store.Keys != "" {
		var err error
		if e.Keys, err = auth.ParseKeys(c.Store.Keys.Reveal()); err != nil {
			return nil, err
		}
	}
	store, err := auth.OpenStore(c.StateDirectory, e)
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

// rekey brings the files of the store to the key that is the first now.
func (d *Daemon) rekey() {
	written, err := d.store.Rekey()
	if written > 0 {
		d.log.Info("grants written anew", "files", written, "encrypted", d.config.Store.Encrypt)
	}
	if err != nil { // and nothing is lost, as long as the key they have is kept
		d.log.Error("grants keep the key that they have", "why", err)
	}
}
