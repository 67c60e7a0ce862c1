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

// manager listens as the service manager does, on a socket of its own.
func manager(t *testing.T) *net.UnixConn {
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

// heard returns the datagrams that have arrived at the manager.
func heard(t *testing.T, c *net.UnixConn) []string {
	t.Helper()
	// One that was sent is there already, so that there is nothing to wait for.
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

func TestNotify(t *testing.T) {
	tests := []struct {
		name string
		say  func() error
		want string
	}{
		{"ready", func() error { return Ready("serving 3 accounts") }, "READY=1\nSTATUS=serving 3 accounts"},
		{"stopping", func() error { return Stopping("draining", 80*time.Second) }, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=80000000"},
		{"a line break does not begin another assignment", func() error { return Stopping("a\r\nMAINPID=1", 0) }, "STOPPING=1\nSTATUS=a  MAINPID=1\nEXTEND_TIMEOUT_USEC=0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := manager(t)
			if err := test.say(); err != nil {
				t.Fatal(err)
			}
			if got := heard(t, m); !slices.Equal(got, []string{test.want}) {
				t.Errorf("the manager heard %q, want %q", got, test.want)
			}
		})
	}
}

func TestNotifyWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := errors.Join(Ready("a"), Stopping("c", 0)); err != nil {
		t.Errorf("started by something else than systemd: %v", err)
	}
}

func TestNotifyFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	err := Ready("a")
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "notify systemd: ") {
		t.Errorf("err = %v, want one that names systemd and the missing socket", err)
	}
}

func TestWatchdog(t *testing.T) {
	unwell := errors.New("unwell")
	tests := []struct {
		name    string
		healthy func(ctx context.Context, asked int) error
		asked   []int // at which seconds
		fed     int
	}{
		{"a daemon that is well is fed for at half of the time",
			func(context.Context, int) error { return nil },
			[]int{30, 60, 90, 120}, 4},
		{"one that is not is asked again soon, and not fed for",
			func(context.Context, int) error { return unwell },
			[]int{30, 40, 50, 60, 70, 80, 90, 100, 110, 120}, 0},
		{"a slow moment is made up for before the time is over",
			func(ctx context.Context, asked int) error {
				if asked > 1 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
			[]int{30, 50, 80, 110}, 3},
		{"a good answer that comes late does not count",
			func(ctx context.Context, _ int) error { <-ctx.Done(); return nil },
			[]int{30, 50, 70, 90, 110}, 0},
		{"a daemon that hangs is not fed for",
			func(context.Context, int) error { time.Sleep(time.Hour); return nil },
			[]int{30}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := manager(t)
			t.Setenv("WATCHDOG_USEC", "60000000")
			t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
			var asked []int
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 121*time.Second)
				defer cancel()
				err := Watchdog(ctx, func(ctx context.Context) error {
					asked = append(asked, int(time.Since(start).Seconds()))
					return test.healthy(ctx, len(asked))
				})
				if err != nil {
					t.Errorf("Watchdog: %v", err)
				}
			})
			if !slices.Equal(asked, test.asked) {
				t.Errorf("asked at %v seconds, want %v", asked, test.asked)
			}
			want := slices.Repeat([]string{"WATCHDOG=1"}, test.fed)
			if got := heard(t, m); !slices.Equal(got, want) {
				t.Errorf("the manager heard %q, want %q", got, want)
			}
		})
	}
}

// A beat that could not be sent is sent again before the time is over.
func TestWatchdogCannotSend(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "60000000")
	t.Setenv("WATCHDOG_PID", "")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		asked := 0
		err := Watchdog(ctx, func(context.Context) error { asked++; return nil })
		if err != nil || asked < 3 {
			t.Errorf("Watchdog: %v; asked %d times in a minute, want 3", err, asked)
		}
	})
}

func TestNoWatchdog(t *testing.T) {
	tests := []struct {
		name, usec, pid string
		fails           bool
	}{
		{"the unit has none", "", "", false},
		{"it is for another process", "60000000", "1", false},
		{"its time makes no sense", "soon", "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", test.usec)
			t.Setenv("WATCHDOG_PID", test.pid)
			err := Watchdog(t.Context(), func(context.Context) error {
				t.Error("asked whether the daemon is well")
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
		{"standard error is the stream", fmt.Sprintf("%d:%d", stderr.Dev, stderr.Ino), true},
		{"standard error was redirected", fmt.Sprintf("%d:%d", stderr.Dev, stderr.Ino+1), false},
		{"no journal", "", false},
		{"not understood", "journal", false},
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
