package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// runClients runs n concurrent sessions whose clients send text and leave.
func runClients(s *Server, n int, text func(i int) string) {
	var sessions sync.WaitGroup
	for i := range n {
		a, b := net.Pipe()
		sessions.Go(func() {
			s.accept(context.Background(), context.Background(), b, &Listener{Protocol: "imap"}, s.Limits.Sessions)()
			a.Close()
		})
		go io.Copy(io.Discard, a)
		go io.WriteString(a, text(i))
	}
	sessions.Wait()
}

// reset empties the log. The lock orders that before later lines of the timer.
func reset(s *Server, log *bytes.Buffer) {
	s.repeats.mu.Lock()
	defer s.repeats.mu.Unlock()
	log.Reset()
}

func lines(log *bytes.Buffer) int { return strings.Count(log.String(), "\n") }

// TestRepeatsAreSummedUp checks that a client that connects thousands of times has a few log
// lines, and one for the rest, and that lines of other results and accounts are not lost.
func TestRepeatsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := &scriptedAccount{password: "s3cret", upstream: &Upstream{}, fails: Fail(NeedsAuthorization, errors.New("scripted"))}
		s, log := newTestServer(account)
		runClients(s, 4004, func(int) string { return "GET / HTTP/1.1\r\n" })
		if n := lines(log); n != maxRepeats {
			t.Errorf("%d lines for 4004 requests", n)
		}
		reset(s, log)
		runClients(s, 1, func(int) string { return "a LOGIN joe@example.com wrong\r\nb LOGOUT\r\n" })
		runClients(s, 1, func(int) string { return "a LOGIN joe@example.com s3cret\r\nb LOGOUT\r\n" })
		for _, want := range []string{"result=bad_credentials", "result=needs_authorization"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %s in\n%s", want, log)
			}
		}
		reset(s, log)
		time.Sleep(repeatWindow)
		synctest.Wait()
		want := `level=WARN msg="sessions summed up" protocol=imap result=violation client="this machine" error="HTTP request on a mail port" sessions=3994 seconds=60` + "\n"
		if _, line, _ := strings.Cut(log.String(), " "); line != want {
			t.Errorf("got %s\nwant %s", line, want)
		}

		// The next window counts from zero.
		reset(s, log)
		runClients(s, 1, func(int) string { return "GET / HTTP/1.1\r\n" })
		time.Sleep(repeatWindow)
		synctest.Wait()
		if n := lines(log); n != 1 || !strings.Contains(log.String(), `msg="session ended" `) {
			t.Error(log)
		}
	})
}

// TestRepeatsOfManyNames checks that invented user names do not cause more lines.
func TestRepeatsOfManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newTestServer(&scriptedAccount{})
		runClients(s, 1000, func(i int) string { return fmt.Sprintf("a LOGIN user%d@example.com x\r\nb LOGOUT\r\n", i) })
		time.Sleep(repeatWindow)
		synctest.Wait()
		if n := lines(log); n != maxHostLines+1 || !strings.Contains(log.String(), "sessions=950") {
			t.Errorf("%d lines:\n%s", n, log)
		}
	})
}

// TestRepeatsOfManyHosts checks that lines and memory are limited for any number of hosts.
func TestRepeatsOfManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newTestServer(nil)
		err := Fail(TLSFailed, errors.New("scripted"))
		kind := func(i int) failureKind {
			return failureKind{protocol: "imap", result: TLSFailed, client: fmt.Sprint("address ", i)}
		}
		admitted := 0
		for i := range 10000 {
			if s.repeats.admit(kind(i), err, s.Log) {
				admitted++
			}
		}
		if admitted != maxAllLines || len(s.repeats.kinds) != maxAllLines+1 {
			t.Errorf("%d lines, %d kinds", admitted, len(s.repeats.kinds))
		}
		account := &session{server: s, record: &sessionRecord{lastAttempt: lastAttempt{account: "joe", authenticated: true}}}
		if !account.hasOwnLine(UpstreamDown, Fail(UpstreamDown, errors.New("scripted"))) {
			t.Error("the line of an account is lost")
		}
		s.repeats.flush(s.Log)
		if n := lines(log); n != 1 || !strings.Contains(log.String(), `client="several hosts"`) || !strings.Contains(log.String(), "sessions=9500") {
			t.Error(log)
		}
	})
}

// TestFailuresOfLocalUsers checks that a user of this machine does not use up the log lines of
// another.
func TestFailuresOfLocalUsers(t *testing.T) {
	kind := func(uid uint32) failureKind {
		s := &session{listener: &Listener{Protocol: "imap"}, record: new(sessionRecord), userSource: peercred.SourceOfUser(uid)}
		return s.failureKind(BadCredentials)
	}
	first, again := kind(1), kind(1)
	if first == kind(2) || first != again {
		t.Error("failures are summed up by machine, not by user")
	}
}
