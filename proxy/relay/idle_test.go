package relay

import (
	"testing"
	"time"

	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// TestCheckAfterStop checks that a late call of check does not re-arm the timer of a relay
// that has ended.
func TestCheckAfterStop(t *testing.T) {
	timer := newIdleTimer(time.Hour, new(smtpdialogue.Tracker), func() {})
	timer.stop()
	timer.check()
	if timer.timer.Stop() {
		t.Error("the timer runs after stop")
	}
}
