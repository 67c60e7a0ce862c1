package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// discardTime bounds the revocation of a grant that is not used any more. Nobody
// waits for it but the end of the daemon.
const discardTime = 10 * time.Second

// Keep puts g in the place of the grant that present is of, which is then revoked.
func (p *page) Keep(g auth.Grant, present auth.Access) error {
	replaced, err := p.Account.Replace(g, present)
	if err == nil { // otherwise it is still on disk, and may be all that there is after a restart
		p.discard(replaced, "replaced")
	}
	return err
}

// Discard revokes g, which was obtained for the account and is not kept.
func (p *page) Discard(g auth.Grant) { p.discard(g, "not kept") }

// discard revokes g at the provider, in the background, if that can end no grant
// that is in use: of many providers, one token ends all that its person has given
// the client.
func (p *page) discard(g auth.Grant, reason string) {
	single := p.provider.config.Revocation == "grant"
	if !single && slices.ContainsFunc(p.daemon.accounts.list(), func(a *auth.Account) bool { return a.SharesPerson(p.provider.Provider, g) }) {
		return
	}
	p.daemon.discards.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), discardTime)
		defer cancel()
		told, err := p.provider.Discard(ctx, g)
		log := p.daemon.log.With("account", p.Name(), "reason", reason)
		switch {
		case err != nil:
			log.Warn("unused grant not revoked", "error", err.Error())
		case told:
			log.Info("unused grant revoked")
		}
	})
}

// finishDiscards waits for the revocations that are under way, no longer than ctx.
func (d *Daemon) finishDiscards(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		d.discards.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
