package daemon

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/config"
)

// A slowReader is the other end of a log. While it is blocked a write does not
// return.
type slowReader struct {
	mu   sync.Mutex
	said strings.Builder
	err  error         // of writes
	gate chan struct{} // not nil: writes wait until it is closed
}

func (r *slowReader) Write(p []byte) (int, error) {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		<-gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.said.Write(p)
}

func (r *slowReader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

func TestLogKeepsAllLines(t *testing.T) {
	r := new(slowReader)
	l := OpenLog(config.Log{Level: "info", Format: "json"}, r)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 500 {
				l.Info("session", "id", 1)
			}
		})
	}
	all.Wait()
	l.Close()
	if n := strings.Count(r.String(), "\"session\""); n != 5000 || strings.Contains(r.String(), "dropped") {
		t.Errorf("%d lines were written", n)
	}
}

// TestLogBlocked checks that a log without a reader does not block, queues a limited number
// of lines, and counts the others.
func TestLogBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slowReader{gate: make(chan struct{})}
		l := OpenLog(config.Log{Level: "error", Format: "text"}, r)
		start := time.Now()
		line := strings.Repeat("x", 1000)
		const lines = 3000
		for range lines {
			l.Error(line)
		}
		if time.Since(start) != 0 {
			t.Errorf("logging took %v", time.Since(start))
		}
		dropped := testutil.ToFloat64(l.Collector())
		if kept := lines - dropped; kept*1000 > 2*maxPending || kept*1000 < maxPending/2 {
			t.Errorf("%v of %d lines are kept", kept, lines)
		}
		close(r.gate)
		synctest.Wait()
		said := r.String()
		if n := strings.Count(said, line); n != lines-int(dropped) {
			t.Errorf("%d lines were written, %v dropped", n, dropped)
		}
		if want := "msg=\"log lines dropped\" lines="; strings.Count(said, want) != 1 {
			t.Errorf("no %s in the log", want)
		}
		l.Close()
		if time.Since(start) != 0 {
			t.Errorf("Close took %v", time.Since(start))
		}
	})
}

// TestLogBlockedAtTheEnd checks that Close does not wait forever.
func TestLogBlockedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slowReader{gate: make(chan struct{})}
		l := OpenLog(config.Log{Level: "info", Format: "text"}, r)
		l.Info("stopped")
		start := time.Now()
		l.Close()
		if took := time.Since(start); took != logFlush {
			t.Errorf("Close took %v", took)
		}
		close(r.gate)
		synctest.Wait()
		if !strings.Contains(r.String(), "msg=stopped") {
			t.Errorf("the log is %q", r.String())
		}
	})
}

// TestLogFails checks that lines whose write fails are counted.
func TestLogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slowReader{err: io.ErrClosedPipe}
		l := OpenLog(config.Log{Level: "info", Format: "text"}, r)
		defer l.Close()
		for range 3 {
			l.Info("session")
			synctest.Wait()
		}
		if n := testutil.ToFloat64(l.Collector()); n != 3 {
			t.Errorf("%v lines are counted", n)
		}
		r.mu.Lock()
		r.err = nil
		r.mu.Unlock()
		l.Info("session")
		synctest.Wait()
		if !strings.Contains(r.String(), "msg=\"log lines dropped\" lines=3 ") {
			t.Errorf("the log does not tell of three lines: %s", r)
		}
	})
}
