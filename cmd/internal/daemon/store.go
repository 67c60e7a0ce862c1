package daemon

import (
	"log/slog"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
)

// warnOfOthers tells of grants that no account uses and no command reaches.
func (d *Daemon) warnOfOthers() {
	names := make([]string, 0, len(d.accounts.all))
	for _, a := range d.accounts.all {
		names = append(names, a.Name())
	}
	others, err := d.store.Others(names)
	if err != nil {
		d.log.Warn("cannot look for grants without an account", "why", err)
	}
	for _, file := range others {
		d.log.Warn("a grant has no account in the configuration: have the provider take it back, and remove the file", "file", file)
	}
}

// openStore opens the store of the configuration, and brings its files to the
// key that is the first now.
func openStore(c *config.Config, log *slog.Logger) (*auth.Store, error) {
	e := auth.Encryption{Plain: !c.Store.Encrypt}
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
	written, err := store.Rekey()
	if written > 0 {
		log.Info("grants written anew", "files", written, "encrypted", c.Store.Encrypt)
	}
	if err != nil { // and nothing is lost, as long as the key they have is kept
		log.Error("grants keep the key that they have", "why", err)
	}
	return store, nil
}
