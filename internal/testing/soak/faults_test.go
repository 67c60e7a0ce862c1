//go:build linux

package soak

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fault is one that begin starts and that over ends.
type fault struct {
	group, name string
	restarts    bool          // the daemon is restarted
	hold        time.Duration // how long it lasts
	begin       func(t *testing.T) (over func())

	times   int
	slowest time.Duration // longest recovery
	last    string        // what recovered last then
}

func (f *fault) record(took time.Duration, last string) {
	f.times++
	if took >= f.slowest {
		f.slowest, f.last = took, last
	}
}

// newFaults returns all faults. Restarts come first.
func (s *soak) newFaults() []*fault {
	all := append(s.restarts(), s.ofProvider()...)
	all = append(all, s.ofMailServer()...)
	return append(all, s.ofMachine()...)
}

func nothing() {}

func (s *soak) restarts() []*fault {
	return []*fault{
		{group: "signal", name: "SIGTERM and restart", restarts: true, begin: func(t *testing.T) func() {
			s.daemon.stop(t)
			s.daemon.start(t)
			return nothing
		}},
		{group: "signal", name: "SIGKILL and restart", restarts: true, begin: func(t *testing.T) func() {
			s.ledger.kill()
			s.daemon.kill(t)
			s.daemon.start(t)
			return nothing
		}},
	}
}

func (s *soak) ofProvider() []*fault {
	token := func(f http.HandlerFunc) func(*testing.T) func() {
		return func(*testing.T) func() { return s.provider.during(f) }
	}
	return []*fault{
		{group: "provider", name: "503", hold: 3 * time.Second, begin: token(s.provider.unavailable)},
		{group: "provider", name: "slow", hold: 4 * time.Second, begin: token(s.provider.slow)},
		{group: "provider", name: "malformed answer", hold: 3 * time.Second, begin: token(s.provider.malformed)},
		{group: "provider", name: "connection refused", hold: 3 * time.Second, begin: func(t *testing.T) func() {
			s.provider.stop()
			return func() { s.provider.start(t) }
		}},
		{group: "provider", name: "answer cut after rotation", begin: s.cutAnswer},
	}
}

// cutAnswer cuts the connection after the provider has rotated an account's refresh
// token. The loss of the grant is unavoidable, and the status must give the reason.
func (s *soak) cutAnswer(t *testing.T) func() {
	account := accounts[s.provider.refreshes.Load()%int64(len(accounts))]
	over := s.provider.during(func(w http.ResponseWriter, r *http.Request) { s.provider.answer(w, r, account) })
	needs := `xoauthd_account_needs_authorization{account="` + account + `"}`
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		metrics, err := s.daemon.metrics()
		if err == nil && metrics[needs] == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the provider has revoked the grant of %s, and the daemon does not report it\n%s", account, s.daemon.log())
		}
	}
	said, err := s.daemon.try("", "status", "--config", s.daemon.file, account)
	if !strings.Contains(said, "answer to the refresh") || err == nil {
		t.Errorf("the provider's answer was lost, and the status is\n%s", said)
	}
	return over
}

func (s *soak) ofMailServer() []*fault {
	with := func(f mailFault) func(*testing.T) func() {
		return func(*testing.T) func() { return s.mail.during(f) }
	}
	const hold = 3 * time.Second
	return []*fault{
		{group: "mail server", name: "connection refused", hold: hold, begin: func(t *testing.T) func() {
			s.mail.close()
			return func() { s.mail.open(t) }
		}},
		{group: "mail server", name: "421 as the greeting", hold: hold, begin: with(mailFault{unready: true})},
		{group: "mail server", name: "4xx at AUTH", hold: hold, begin: with(mailFault{noLogin: true})},
		{group: "mail server", name: "slow replies", hold: hold, begin: with(mailFault{delay: 300 * time.Millisecond})},
		{group: "mail server", name: "hangs", hold: 5 * time.Second, begin: with(mailFault{hang: true})},
		{group: "mail server", name: "cut within a message", hold: hold, begin: with(mailFault{cutText: true})},
		{group: "mail server", name: "cut before the reply", hold: hold, begin: with(mailFault{cutReply: true})},
		{group: "mail server", name: "half-close before the reply", hold: hold, begin: with(mailFault{halfClose: true})},
	}
}

func (s *soak) ofMachine() []*fault {
	all := []*fault{
		{group: "disk", name: "not writable", hold: 3 * time.Second, begin: s.disk.lock},
		{group: "descriptors", name: "none or few left", hold: 5 * time.Second, begin: s.daemon.exhaustDescriptors},
		{group: "signal", name: "SIGSTOP, SIGCONT", hold: 3 * time.Second, begin: func(t *testing.T) func() {
			s.daemon.signal(t, syscall.SIGSTOP)
			return func() { s.daemon.signal(t, syscall.SIGCONT) }
		}},
		{group: "signal", name: "SIGHUP", begin: func(t *testing.T) func() {
			s.daemon.signal(t, syscall.SIGHUP)
			return nothing
		}},
	}
	if s.disk.small {
		all = append(all, &fault{group: "disk", name: "full", hold: 4 * time.Second, begin: s.disk.fill})
	}
	return all
}
