package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// listenNotify returns a notification socket, as systemd creates it, and sets
// $NOTIFY_SOCKET to its path.
func listenNotify(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

// received returns the datagrams that have arrived. It does not wait: a unix
// datagram arrives when it is sent.
func received(t *testing.T, c *net.UnixConn) []string {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		b := make([]byte, 4096)
		for {
			n, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_DONTWAIT)
			if err != nil {
				failure = err
				return true
			}
			all = append(all, string(b[:n]))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(failure, syscall.EAGAIN) {
		t.Fatal(failure)
	}
	return all
}

// newNotifier returns a Notifier that the end of the test closes.
func newNotifier(t *testing.T) *Notifier {
	t.Helper()
	n := new(Notifier)
	t.Cleanup(func() { n.Close() })
	return n
}

func TestNotify(t *testing.T) {
	tests := []struct {
		name   string
		notify func(n *Notifier) error
		want   string
	}{
		{"ready", func(n *Notifier) error { return n.Ready("serving 3 accounts") }, "READY=1\nSTATUS=serving 3 accounts"},
		{"stopping", func(n *Notifier) error { return n.Stopping("draining", 80*time.Second) }, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=80000000"},
		{"a line break does not start another assignment", func(n *Notifier) error { return n.Stopping("a\r\nMAINPID=1", 0) }, "STOPPING=1\nSTATUS=a  MAINPID=1\nEXTEND_TIMEOUT_USEC=0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := listenNotify(t)
			if err := test.notify(newNotifier(t)); err != nil {
				t.Fatal(err)
			}
			if got := received(t, c); !slices.Equal(got, []string{test.want}) {
				t.Errorf("received %q, want %q", got, test.want)
			}
		})
	}
}

func TestNotifyWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := newNotifier(t)
	if err := errors.Join(n.Ready("a"), n.Stopping("c", 0)); err != nil {
		t.Errorf("without NOTIFY_SOCKET: %v", err)
	}
}

func TestNotifyFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	err := newNotifier(t).Ready("a")
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "notify systemd: ") {
		t.Errorf("err = %v, want notify systemd: … with fs.ErrNotExist", err)
	}
}

// TestNotifyWithoutDescriptors checks that a daemon without a free file descriptor
// still notifies the watchdog.
func TestNotifyWithoutDescriptors(t *testing.T) {
	c := listenNotify(t)
	n := newNotifier(t)
	if err := n.Ready("a"); err != nil {
		t.Fatal(err)
	}
	lowest, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := limit
	lowered.Cur = uint64(lowest.Fd())
	lowest.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	if _, err := os.Open(os.DevNull); !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("open with no descriptor left: %v", err)
	}
	if err := n.notify("WATCHDOG=1"); err != nil {
		t.Error(err)
	}
	if got := received(t, c); !slices.Contains(got, "WATCHDOG=1") {
		t.Errorf("received %q", got)
	}
}

// TestNotifyNewSocket checks that notifications go on when systemd has a new socket.
func TestNotifyNewSocket(t *testing.T) {
	n := newNotifier(t)
	old := listenNotify(t)
	if err := n.Ready("a"); err != nil {
		t.Fatal(err)
	}
	old.Close()
	c := listenNotify(t)
	if err := n.Ready("b"); err != nil {
		t.Error(err)
	}
	if got := received(t, c); !slices.Equal(got, []string{"READY=1\nSTATUS=b"}) {
		t.Errorf("received %q", got)
	}
}

func TestWatchdog(t *testing.T) {
	unhealthy := errors.New("unhealthy")
	tests := []struct {
		name    string
		healthy func(ctx context.Context, call int) error
		calls   []int // seconds after the start
		sent    int
	}{
		{"a healthy daemon is checked after half of the time",
			func(context.Context, int) error { return nil },
			[]int{30, 60, 90, 120}, 4},
		{"an unhealthy daemon is checked again early",
			func(context.Context, int) error { return unhealthy },
			[]int{30, 40, 50, 60, 70, 80, 90, 100, 110, 120}, 0},
		{"a daemon recovers from one slow check in time",
			func(ctx context.Context, call int) error {
				if call > 1 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
			[]int{30, 50, 80, 110}, 3},
		{"a late success is a failure",
			func(ctx context.Context, _ int) error { <-ctx.Done(); return nil },
			[]int{30, 50, 70, 90, 110}, 0},
		{"no notification while a check hangs",
			func(context.Context, int) error { time.Sleep(time.Hour); return nil },
			[]int{30}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := listenNotify(t)
			t.Setenv("WATCHDOG_USEC", "60000000")
			t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
			var calls []int
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 121*time.Second)
				defer cancel()
				err := newNotifier(t).Watchdog(ctx, func(ctx context.Context) error {
					calls = append(calls, int(time.Since(start).Seconds()))
					return test.healthy(ctx, len(calls))
				})
				if err != nil {
					t.Errorf("Watchdog: %v", err)
				}
			})
			if !slices.Equal(calls, test.calls) {
				t.Errorf("healthy was called after %v seconds, want %v", calls, test.calls)
			}
			want := slices.Repeat([]string{"WATCHDOG=1"}, test.sent)
			if got := received(t, c); !slices.Equal(got, want) {
				t.Errorf("received %q, want %q", got, want)
			}
		})
	}
}

// TestWatchdogSendFails checks that Watchdog retries a notification that could not be
// sent before the time allowed by systemd ends.
func TestWatchdogSendFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "60000000")
	t.Setenv("WATCHDOG_PID", "")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		calls := 0
		err := newNotifier(t).Watchdog(ctx, func(context.Context) error { calls++; return nil })
		if err != nil || calls < 3 {
			t.Errorf("Watchdog: %v; %d checks in a minute, want at least 3", err, calls)
		}
	})
}

func TestNoWatchdog(t *testing.T) {
	tests := []struct {
		name, usec, pid string
		fails           bool
	}{
		{"no WatchdogSec=", "", "", false},
		{"for another process", "60000000", "1", false},
		{"invalid time", "soon", "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", test.usec)
			t.Setenv("WATCHDOG_PID", test.pid)
			err := newNotifier(t).Watchdog(t.Context(), func(context.Context) error {
				t.Error("healthy was called")
				return nil
			})
			if (err != nil) != test.fails {
				t.Errorf("Watchdog: %v", err)
			}
		})
	}
}

func TestUnderJournal(t *testing.T) {
	var stderr syscall.Stat_t
	if err := syscall.Fstat(syscall.Stderr, &stderr); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, stream string
		want         bool
	}{
		{"standard error is the journal", fmt.Sprintf("%d:%d", stderr.Dev, stderr.Ino), true},
		{"standard error was redirected", fmt.Sprintf("%d:%d", stderr.Dev, stderr.Ino+1), false},
		{"no journal", "", false},
		{"invalid", "journal", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("JOURNAL_STREAM", test.stream)
			if got := UnderJournal(); got != test.want {
				t.Errorf("UnderJournal() = %v with JOURNAL_STREAM=%q", got, test.stream)
			}
		})
	}
}
