//go:build linux

// Package soak tests the built daemon for minutes or hours. Clients of all protocols
// send numbered messages through it, and faults of its environment follow one another.
// At the end the test accounts for every message and every grant. See "make soak".
//
// The test does not step the clock. A time namespace does not cover CLOCK_REALTIME, and
// setting the clock of the machine would disturb other programs.
package soak

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

var length = flag.Duration("soak", 2*time.Minute, "how long the load and the faults last")

func TestMain(m *testing.M) {
	children.Supervise()
	os.Exit(m.Run())
}

// TestSoak fails in each of these cases: a message is lost; a grant is lost that could
// be kept; xoauthd causes a duplicate; a client receives a permanent failure; a fault
// has effects long after its end; the daemon needs more resources after the load than
// before.
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
	reader := s.clients[len(s.clients)-1]
	reader.work(t.Context(), reader) // retrieves the last messages
	s.checkGrowth(t)
	s.daemon.stop(t)
	for _, problem := range s.problems() {
		t.Error(problem)
	}
	t.Log(s.figures())
}

// A soak holds the daemon, its environment and the results.
type soak struct {
	ledger   *ledger
	provider *provider
	mail     *mailServer
	daemon   *daemon
	disk     *disk
	clients  []*client
	faults   []*fault

	reauthorized        map[string]int // number of grants lost unavoidably, by cause
	lostGrants          []string       // accounts whose grant could be kept, with times
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

// rounds injects the faults in turn until end, and each at least once. Restarts are part
// of every third round only, so that one process lives for a long time.
func (s *soak) rounds(t *testing.T, end time.Time) {
	for round := 0; ; round++ {
		for _, f := range s.faults {
			if round > 0 && !time.Now().Before(end) {
				return
			}
			if f.restarts && round%3 != 0 {
				continue
			}
			time.Sleep(time.Second + rand.N(time.Second)) // so that the fault meets any step of a session
			over := f.begin(t)
			time.Sleep(f.hold)
			over()
			since := time.Now()
			last := s.waitRecovered(t, since)
			f.record(time.Since(since), last)
		}
		if !time.Now().Before(end) {
			return
		}
	}
}

// patience is the longest time that recovery from a fault may take.
const patience = 90 * time.Second

// waitRecovered waits until each client has had a success that began after since, and all
// grants are valid and saved. It authorizes accounts that have lost their grant. It
// returns what recovered last.
func (s *soak) waitRecovered(t *testing.T, since time.Time) (last string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		waiting := s.notRecovered(t, since)
		if waiting == "" {
			return last
		}
		last = waiting
		if time.Now().After(deadline) {
			t.Fatalf("%v after the end of a fault, this has not recovered: %s\n%s\n%s", patience, waiting, s.figures(), s.daemon.log())
		}
	}
}

// notRecovered returns what has not recovered yet, or "".
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

// noteLoss records that an account has lost its grant, and whether that was avoidable.
func (s *soak) noteLoss(account string) {
	why := s.provider.lost(account, s.ledger.killed)
	if why == "" {
		s.lostGrants = append(s.lostGrants, account+" at "+time.Now().Format(time.TimeOnly))
		return
	}
	s.reauthorized[why]++
}

// authorize gives an account a new grant. It tries again, because the command fails if
// the mail server does not answer in time.
func (s *soak) authorize(t *testing.T, account string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(retryPause) {
		_, refresh, _, err := s.provider.idp.Issue(account)
		must(t, err)
		said, err := s.daemon.try(refresh, "grant", "import", "--yes", "--config", s.daemon.file, account)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s cannot be authorized: %v\n%s\n%s", account, err, said, s.daemon.log())
		}
	}
}

// checkGrowth waits until the daemon uses about as much as before the load.
func (s *soak) checkGrowth(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		s.after = s.daemon.usage(t)
		growth := s.after.beyond(s.before)
		if growth == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("the daemon has grown: %s", growth)
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
