package daemon

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// TestWarnsOfExpiry checks that the log warns on each of the last 30 days, and not before.
func TestWarnsOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var log strings.Builder
		providers := []*oauth.Provider{
			{Name: "ending", CredentialExpiry: time.Now().Add(32*24*time.Hour + time.Minute)},
			{Name: "unknown"},
		}
		done := make(chan struct{})
		go func() {
			warnOfExpiry(ctx, providers, nil, slog.New(slog.NewTextHandler(&log, nil)))
			close(done)
		}()
		time.Sleep(4*24*time.Hour + time.Hour)
		stop()
		<-done
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "provider=ending") || !strings.Contains(lines[0], "in 29 days") ||
			!strings.Contains(lines[1], "in 28 days") || strings.Contains(log.String(), "unknown") {
			t.Errorf("the log says\n%s", &log)
		}
	})
}
