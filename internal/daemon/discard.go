package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
)

// discardTime limits the revocation of an unused grant. Only the shutdown waits for it.
const discardTime = 10 * time.Second

// Keep replaces the grant that present is of by g, and revokes the replaced grant. After
// an import it revokes nothing: the imported token may descend from the replaced grant.
func (m *manager) Keep(g oauth.Grant, present auth.Access, imported bool) error {
	replaced, err := m.account.grants.Replace(g, present)
	if err == nil && !imported { // after an error, the replaced grant is still on disk
		m.discard(replaced, "replaced")
	}
	return err
}

// Discard revokes g, which was obtained for the account and is not kept.
func (m *manager) Discard(g oauth.Grant) { m.discard(g, "not kept") }

// discard revokes g at the provider, in the background, unless that can end a grant
// that is in use. Many providers revoke all grants of a person and client with any one
// token; a provider can also issue the same token again.
func (m *manager) discard(g oauth.Grant, reason string) {
	p := m.account.provider
	single := p.config.Revocation == "grant"
	inUse := func(a *auth.Account) bool {
		return a.Holds(g) || !single && a.SharesPerson(p.client, g)
	}
	if slices.ContainsFunc(m.daemon.accounts.list(), inUse) {
		return
	}
	m.daemon.discards.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), discardTime)
		defer cancel()
		told, err := p.client.Revoke(ctx, g)
		log := m.daemon.log.With("account", m.account.Name(), "reason", reason)
		switch {
		case err != nil:
			log.Warn("unused grant not revoked", "error", err.Error())
		case told:
			log.Info("unused grant revoked")
		}
	})
}

// finishDiscards waits for running revocations until ctx is done.
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
