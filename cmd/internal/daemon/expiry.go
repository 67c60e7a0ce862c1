package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

// warnOfExpiry warns of secrets and certificates that are about to end, once a
// day: a registration that has ended takes all of its accounts with it. At the
// start, the configuration has told of them.
func warnOfExpiry(ctx context.Context, providers []*auth.Provider, log *slog.Logger) {
	for {
		select {
		case <-time.After(24 * time.Hour):
		case <-ctx.Done():
			return
		}
		for _, p := range providers {
			if when, soon := p.Expiring(time.Now()); soon {
				log.Warn("the client's secret or certificate must be renewed at the provider", "provider", p.Name, "when", when)
			}
		}
	}
}
