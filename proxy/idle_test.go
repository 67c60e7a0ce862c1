package proxy

import (
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// TestCheckAfterStop: a check that has fired already must not arm the timer of a relay
// that has ended.
func TestCheckAfterStop(t *testing.T) {
	timer := newIdleTimer(time.Hour, new(smtpdialogue.Tracker), func() {})
	timer.stop()
	timer.check()
	if timer.timer.Stop() {
		t.Error("the timer runs after stop")
	}
}

// TestFailuresOfLocalUsers: a user of this machine does not use up the log lines of the
// failures of another.
func TestFailuresOfLocalUsers(t *testing.T) {
	kind := func(uid uint32) failureKind {
		s := &session{l: &Listener{Protocol: "imap"}, record: new(record), userSource: peercred.SourceOfUser(uid)}
		return s.failureKind(BadCredentials)
	}
	first, again := kind(1), kind(1)
	if first == kind(2) || first != again {
		t.Error("failures are summed up by machine, not by user")
	}
}
