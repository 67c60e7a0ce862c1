//go:build linux

// Package soak runs the built daemon for minutes or hours: clients of all protocols
// send numbered messages through it, one fault after the other happens to it, and in
// the end every message and every grant is accounted for. See "make soak".
//
// The clock of the machine is no fault of the list: a time namespace does not cover
// CLOCK_REALTIME, and nothing else on the machine may see another time.
package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/children"
)

var length = flag.Duration("soak", 2*time.Minute, "how long the load and the faults last")

func TestMain(m *testing.M) {
	children.Supervise()
	os.Exit(m.Run())
}

// TestSoak fails if a message or a grant is lost that could be kept, if a message
// arrives twice through the fault of xoauthd, if a client must give up a message, if
// a fault has consequences after its end, or if the daemon grows.
func TestSoak(t *testing.T) {
	if os.Getenv("XOAUTHD_E2E") != "required" && testing.Short() {
		t.Skip("a soak takes minutes")
	}
	s := newSoak(t)
	s.before = s.daemon.usage(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, c := range s.clients {
		running.Go(func() { c.run(ctx) })
	}
	s.waitRecovered(t, time.Now())
	s.rounds(t, time.Now().Add(*length))
	stop()
	running.Wait()
	s.clients[len(s.clients)-1].work(t.Context(), s.clients[len(s.clients)-1]) // retrieves what has arrived since
	s.checkGrowth(t)
	s.daemon.stop(t)
	for _, problem := range s.problems() {
		t.Error(problem)
	}
	t.Log(s.figures())
}

// A soak is the daemon with all that is around it.
type soak struct {
	ledger   *ledger
	provider *provider
	mail     *mailServer
	daemon   *daemon
	disk     *disk
	clients  []*client
	faults   []*fault

	reauthorized        map[string]int // lost grants, by why they could not be kept
	lostGrants          []string       // those that could be kept
	before, peak, after usage
}

// newSoak starts everything but the clients. It ends with the test.
func newSoak(t *testing.T) *soak {
	s := &soak{ledger: newLedger(), reauthorized: make(map[string]int)}
	dir := newDirectory(t)
	s.provider = newProvider(t)
	s.mail = newMailServer(t, dir, s.ledger, s.provider.idp.User)
	s.disk = newDisk(t, dir)
	s.daemon = newDaemon(t, dir, s.provider, s.mail)
	s.daemon.start(t)
	for _, account := range accounts {
		s.authorize(t, account)
	}
	s.clients = newClients(s.daemon, s.ledger)
	s.faults = s.newFaults()
	return s
}

// rounds makes each fault happen in turn until the time is over, and all of them at
// least once. Restarts come first in a round and only in each third, so that the
// daemon also runs for long.
func (s *soak) rounds(t *testing.T, end time.Time) {
	for round := 0; ; round++ {
		for _, f := range s.faults {
			if round > 0 && !time.Now().Before(end) {
				return
			}
			if f.restarts && round%3 != 0 {
				continue
			}
			time.Sleep(time.Second + rand.N(time.Second)) // at any moment of what clients do
			over := f.begin(t)
			time.Sleep(f.hold)
			over()
			since := time.Now()
			s.waitRecovered(t, since)
			f.record(time.Since(since))
		}
		if !time.Now().Before(end) {
			return
		}
	}
}

// patience is how long anything may take to be well again after a fault.
const patience = 90 * time.Second

// waitRecovered waits until each client has had a success that began after since, and all
// grants are good and saved. It authorizes accounts whose grant was lost.
func (s *soak) waitRecovered(t *testing.T, since time.Time) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		waiting := s.notRecovered(t, since)
		if waiting == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v after a fault this is not well again: %s\n%s\n%s", patience, waiting, s.figures(), s.daemon.log())
		}
	}
}

// notRecovered returns what is not well yet, or nothing.
func (s *soak) notRecovered(t *testing.T, since time.Time) string {
	metrics, err := s.daemon.metrics()
	if err != nil {
		return err.Error()
	}
	s.peak = s.peak.most(usageOf(metrics))
	if metrics["xoauthd_grants_unsaved"] != 0 {
		return "a grant is not saved"
	}
	for _, account := range accounts {
		if metrics[`xoauthd_account_needs_authorization{account="`+account+`"}`] != 0 {
			s.noteLoss(account)
			s.authorize(t, account)
			return account + " needed authorization"
		}
	}
	for _, c := range s.clients {
		if c.lastGood().Before(since) {
			return c.name + ": " + c.lastWords()
		}
	}
	return ""
}

// noteLoss notes that the grant of an account is lost, and whether it could be kept.
func (s *soak) noteLoss(account string) {
	why := s.provider.lost(account, s.ledger.killed)
	if why == "" {
		s.lostGrants = append(s.lostGrants, account+" at "+time.Now().Format(time.TimeOnly))
		return
	}
	s.reauthorized[why]++
}

// authorize gives an account a new grant.
func (s *soak) authorize(t *testing.T, account string) {
	t.Helper()
	_, refresh, _, err := s.provider.idp.Issue(account)
	must(t, err)
	s.daemon.command(t, refresh, "grant", "import", "--yes", account)
}

// checkGrowth waits until the daemon has no more open than before there was any load.
func (s *soak) checkGrowth(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		s.after = s.daemon.usage(t)
		growth := s.after.beyond(s.before)
		if growth == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("the load is over, and the daemon has grown: %s", growth)
			return
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
