package daemon

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/proxy"
)

// TestHealthy checks that a serving daemon is healthy, and that the health check names the
// part that hangs.
func TestHealthy(t *testing.T) {
	d, stop := start(t, load(t, listeners))
	if err := d.healthy(t.Context()); err != nil {
		t.Errorf("unwell while it serves: %v", err)
	}
	if n := len(d.acceptors); n != 3 {
		t.Errorf("%d listeners are checked, want those of IMAP, metrics and commands", n)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := d.acceptors
	d.acceptors = nil
	if err := d.wrap(&ln, "pop3", nil); err != nil { // nobody accepts from it
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.healthy(ctx); err == nil || !strings.Contains(err.Error(), "pop3 listener "+ln.Addr().String()) {
		t.Errorf("a listener from which nobody accepts: %v", err)
	}
	d.acceptors = served
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := d.healthy(t.Context()); err == nil {
		t.Error("well though it has stopped")
	}
}

// TestHealthyLogs checks that the log has the reason before systemd ends the
// daemon.
func TestHealthyLogs(t *testing.T) {
	var log strings.Builder
	d := &Daemon{
		log:       slog.New(slog.NewTextHandler(&log, nil)),
		proxy:     new(proxy.Server),
		listeners: []listener{{to: &proxy.Listener{Protocol: "gopher"}}},
	}
	if d.healthy(t.Context()) == nil || !strings.Contains(log.String(), `msg="health check failed" error=`) {
		t.Errorf("the log is %q", log.String())
	}
}
