package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logInOnce runs an IMAP session that logs in with the right password and leaves.
func logInOnce(s *Server) {
	a, b := net.Pipe()
	defer a.Close()
	go io.Copy(io.Discard, a)
	go io.WriteString(a, "a LOGIN joe@example.com s3cret\r\nb LOGOUT\r\n")
	s.accept(context.Background(), context.Background(), b, &Listener{Protocol: "imap"}, s.Limits.Sessions)()
}

// takeLog returns the lines of the log without their times, and empties it.
func takeLog(s *Server, log *bytes.Buffer) (lines []string) {
	synctest.Wait()
	s.accountFailures.mu.Lock()
	defer s.accountFailures.mu.Unlock()
	for line := range strings.Lines(log.String()) {
		_, line, _ = strings.Cut(line, " ")
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	log.Reset()
	return lines
}

func expectLines(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.Contains(got[i], want[i]) {
			t.Fatalf("%s: got\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestAccountKeepsFailing checks that the first failure of an account is logged at once, and
// later ones for the same reason in one line after 10 minutes, and then every hour.
func TestAccountKeepsFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := &scriptedAccount{password: "s3cret", upstream: &Upstream{}, fails: Fail(NeedsAuthorization, errors.New("invalid_grant"))}
		s, log := newTestServer(account)
		attempts := func(n int) {
			for range n {
				logInOnce(s)
				time.Sleep(time.Minute)
			}
		}
		logInOnce(s)
		first := takeLog(s, log)
		expectLines(t, "the first failure", first, `level=ERROR msg="session ended" protocol=imap id=1`)
		time.Sleep(30 * time.Second)
		attempts(9)
		expectLines(t, "within 10 minutes", takeLog(s, log))
		time.Sleep(30 * time.Second)
		expectLines(t, "after 10 minutes", takeLog(s, log),
			`level=ERROR msg="account still failing" protocol=imap result=needs_authorization account=joe@example.com error=invalid_grant sessions=9 since=2000-01-01T00:00:00.000Z next=2000-01-01T01:10:00.000Z`)
		attempts(60)
		expectLines(t, "an hour later", takeLog(s, log), `sessions=60 since=2000-01-01T00:00:00.000Z next=2000-01-01T02:10:00.000Z`)

		account.fails = Fail(ProviderDown, errors.New("HTTP status 503"))
		attempts(1)
		expectLines(t, "another reason", takeLog(s, log), `level=WARN msg="session ended"`)
		time.Sleep(3 * time.Hour)
		expectLines(t, "no more attempts", takeLog(s, log))
		account.fails = Fail(NeedsAuthorization, errors.New("invalid_grant"))
		attempts(2)
		expectLines(t, "the first reason, hours later", takeLog(s, log), `level=ERROR msg="session ended"`)
		s.accountFailures.flush(s.Log)
		expectLines(t, "xoauthd stops", takeLog(s, log), `msg="account still failing" protocol=imap result=needs_authorization account=joe@example.com error=invalid_grant sessions=1 since=`)
		if n := len(s.accountFailures.counts); n != 0 {
			t.Errorf("%d reasons are left", n)
		}
	})
}

// TestAccountSucceeds checks that a success logs the sum of earlier failures, and that the
// next failure is logged at once. A session limit is not ended by a success.
func TestAccountSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newTestServer(nil)
		record := func(login string) *sessionRecord {
			return &sessionRecord{protocol: "imap", lastAttempt: lastAttempt{account: "joe@example.com", login: login, authenticated: true}}
		}
		fail := func(login string, result Result) (first bool) {
			r, err := record(login), Fail(result, errors.New("scripted"))
			return s.accountFailures.count(newFailureReason(r, err), err, s.Log)
		}
		for _, login := range []string{"phone", "laptop"} {
			for _, result := range []Result{UpstreamDown, TooManySessions} {
				if !fail(login, result) || fail(login, result) {
					t.Errorf("%s, %s: only the first failure has a line", login, result)
				}
			}
		}
		s.accountFailures.succeeded(record("phone"), s.Log)
		expectLines(t, "success", takeLog(s, log), `level=INFO msg="account failures ended" protocol=imap result=upstream_down account=joe@example.com login=phone error=scripted sessions=1`)
		for _, test := range []struct {
			login  string
			result Result
			first  bool
		}{
			{"phone", UpstreamDown, true},
			{"phone", TooManySessions, false},
			{"laptop", UpstreamDown, false},
		} {
			if first := fail(test.login, test.result); first != test.first {
				t.Errorf("%s, %s after the success of the phone: first = %v", test.login, test.result, first)
			}
		}
		s.accountFailures.flush(s.Log)
	})
}

// TestFailureReason checks that hints with details of one attempt are one reason, and that
// replies with other hints are others.
func TestFailureReason(t *testing.T) {
	reason := func(reply string) failureReason {
		return newFailureReason(new(sessionRecord), replied(&Upstream{Family: Google}, UpstreamRefused, reply))
	}
	web := reason("NO [WEBALERT https://accounts.google.com/signin/continue?a] Web login required.")
	if again := reason("NO [WEBALERT https://accounts.google.com/signin/continue?b] Web login required."); again != web {
		t.Errorf("%v, then %v", web, again)
	}
	if other := reason("NO [ALERT] Application-specific password required"); other == web {
		t.Errorf("one reason: %v", other)
	}
}
