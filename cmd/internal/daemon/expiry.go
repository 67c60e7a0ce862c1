package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// warnOfExpiry warns of secrets and certificates that are about to end, now and
// once a day: a registration that has ended takes all of its accounts with it.
func warnOfExpiry(ctx context.Context, providers []*auth.Provider, log *slog.Logger) {
	for {
		for _, p := range providers {
			if when, soon := p.Expiring(time.Now()); soon {
				log.Warn("the client's secret or certificate must be renewed at the provider", "provider", p.Name, "when", when)
			}
		}
		select {
		case <-time.After(24 * time.Hour):
		case <-ctx.Done():
			return
		}
	}
}
