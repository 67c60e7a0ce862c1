package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// newServer returns a server of a few commands.
func newServer() *Server {
	return &Server{
		Log: slog.New(slog.DiscardHandler),
		Handlers: map[string]Handler{
			"greet": func(ctx context.Context, r Request, c *Conversation) error {
				name, err := c.Ask(ctx, "name", nil)
				if err != nil {
					return err
				}
				return c.Tell("greeting", "hello, "+name+" of "+r.Account)
			},
			"tell":  func(_ context.Context, _ Request, c *Conversation) error { return c.Tell("all", nil) },
			"fail":  func(context.Context, Request, *Conversation) error { return errors.New("it is broken") },
			"panic": func(context.Context, Request, *Conversation) error { panic("secret") },
			"wait": func(ctx context.Context, _ Request, c *Conversation) error {
				if err := c.Tell("waiting", nil); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			},
			"flood": func(_ context.Context, _ Request, c *Conversation) error {
				for {
					if err := c.Tell("drop", strings.Repeat("x", 1000)); err != nil {
						return err
					}
				}
			},
			"large": func(_ context.Context, _ Request, c *Conversation) error {
				return c.Tell("large", strings.Repeat("x", maxLine))
			},
		},
	}
}

// pipe has a server converse, and returns the other end. Both have ended when
// the test does.
func pipe(t *testing.T, stopping context.Context) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	ended := make(chan bool)
	go func() {
		newServer().Converse(stopping, there)
		close(ended)
	}()
	t.Cleanup(func() {
		here.Close()
		<-ended
	})
	return here
}

// hears returns a Hear that says answer to whatever asks, and what it heard.
func hears(answer string) (Hear, *[]string) {
	heard := new([]string)
	return func(_ context.Context, e Event) (string, error) {
		*heard = append(*heard, e.Name+" "+string(e.Data))
		return answer, nil
	}, heard
}

func TestDo(t *testing.T) {
	tests := []struct {
		name    string
		request Request
		heard   string
		err     string
	}{
		{"it asks and tells", Request{Command: "greet", Account: "example.com"}, `name null, greeting "hello, alice of example.com"`, ""},
		{"it fails", Request{Command: "fail"}, "", "it is broken"},
		{"it is not known", Request{Command: "nonsense"}, "", `does not know the command "nonsense": restart the daemon`},
		{"it panics", Request{Command: "panic"}, "", "internal error; see the log of xoauthd"},
		{"it says too much", Request{Command: "large"}, "", "too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hear, heard := hears("alice")
				err := Do(t.Context(), pipe(t, t.Context()), test.request, hear)
				if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("err = %v, want %q", err, test.err)
				}
				if got := strings.Join(*heard, ", "); got != test.heard {
					t.Errorf("heard %s", got)
				}
			})
		})
	}
}

// TestPeers: whatever the other end does, the conversation ends, in the time that
// it may take.
func TestPeers(t *testing.T) {
	tests := []struct {
		name, sends string
		says        string        // the last line
		after       time.Duration // from the start
	}{
		{"silence", "", errUnclear.Error(), requestTime},
		{"half a line", `{"version":1`, errUnclear.Error(), requestTime},
		{"garbage", "GET / HTTP/1.1\r\n", errUnclear.Error(), 0},
		{"an endless line", strings.Repeat("x", maxLine), errUnclear.Error(), 0},
		{"another version", `{"version":2,"command":"greet"}` + "\n", "restart the daemon", 0},
		{"no version", `{"command":"greet"}` + "\n", "restart the daemon", 0},
		{"no answer", `{"version":1,"command":"greet"}` + "\n", "no answer came within 10 minutes", askTime},
		{"a garbled answer", `{"version":1,"command":"greet"}` + "\nalice\n", errLeft.Error(), 0},
		{"an endless answer", `{"version":1,"command":"greet"}` + "\n" + strings.Repeat("x", maxLine), errLeft.Error(), 0},
		{"answers without questions", `{"version":1,"command":"wait"}` + "\n{}\n{}\n", context.Canceled.Error(), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, start := pipe(t, t.Context()), time.Now()
				go conn.Write([]byte(test.sends))
				var last string
				for s := bufio.NewScanner(conn); s.Scan(); {
					last = s.Text()
				}
				if took := time.Since(start); !strings.Contains(last, test.says) || took != test.after {
					t.Errorf("after %v it says %s", took, last)
				}
			})
		})
	}
}

// TestLeaves: a handler does not outlive the command, whether it listens or not.
// The cleanup of pipe waits for it.
func TestLeaves(t *testing.T) {
	for _, command := range []string{"wait", "greet", "flood"} {
		synctest.Test(t, func(t *testing.T) {
			conn := pipe(t, t.Context())
			if err := newLine(conn).write(Request{Version: Version, Command: command}); err != nil {
				t.Fatal(err)
			}
			var m message
			if err := newLine(conn).read(&m); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadsNothing: a command that has been stopped, and not ended, does not hold
// up the daemon.
func TestReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		start := time.Now()
		go newLine(here).write(Request{Version: Version, Command: "flood"})
		newServer().Converse(t.Context(), there)
		if took := time.Since(start); took != 2*writeTime { // of an event, and of the end
			t.Errorf("took %v", took)
		}
	})
}

func TestStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		err := Do(t.Context(), pipe(t, stopping), Request{Command: "greet"}, func(ctx context.Context, _ Event) (string, error) {
			stop()
			<-ctx.Done() // a person is at the prompt, and does nothing
			return "", ctx.Err()
		})
		if err == nil || err.Error() != "the daemon is stopping" {
			t.Errorf("err = %v", err)
		}
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		hear := func(context.Context, Event) (string, error) { interrupt(); return "", nil }
		if err := Do(ctx, pipe(t, t.Context()), Request{Command: "wait"}, hear); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
		refused := errors.New("not me")
		hear = func(context.Context, Event) (string, error) {
			synctest.Wait() // until the end, if there is one, has come
			return "", refused
		}
		for _, command := range []string{"wait", "tell"} {
			if err := Do(t.Context(), pipe(t, t.Context()), Request{Command: command}, hear); err != refused {
				t.Errorf("%s: err = %v, want that of hear", command, err)
			}
		}
	})
}

func TestDaemonDies(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		newLine(there).read(new(Request))
		there.Close()
	}()
	err := Do(t.Context(), here, Request{Command: "wait"}, nil)
	if err == nil || err.Error() != "the daemon ended before the command did" {
		t.Errorf("err = %v", err)
	}
}

// listen serves in dir until the test ends, or stop is called.
func listen(t *testing.T, dir string) (stop func()) {
	t.Helper()
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- newServer().Serve(ctx, ln) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSocket(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("without a socket: %v", err)
	}
	stale, err := net.Listen("unix", path(dir))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close() // as a daemon that is killed leaves it
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("of a daemon that was killed: %v", err)
	}

	stop := listen(t, dir)
	if info, err := os.Stat(path(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	hear, heard := hears("alice")
	if err := Do(t.Context(), dial(t, dir), Request{Command: "greet"}, hear); err != nil || len(*heard) != 2 {
		t.Errorf("%v, heard %q", err, *heard)
	}
	stop()
	if _, err := os.Stat(path(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// wait connects n times, each with a command that goes on until its connection is
// closed.
func wait(t *testing.T, dir string, n int) (waiting []net.Conn) {
	t.Helper()
	for range n {
		conn := dial(t, dir)
		t.Cleanup(func() { conn.Close() })
		l := newLine(conn)
		request := Request{Version: Version, Command: "wait", Account: fmt.Sprintf("joe%02d@example.com", len(waiting))}
		if err := errors.Join(l.write(request), l.read(new(message))); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, conn)
	}
	return waiting
}

// TestFull: waiting commands block only others of their kind. The refusal names the waiting
// ones.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	listen(t, dir)
	waiting := wait(t, dir, maxOfKind)
	hear, _ := hears("alice")
	if err := Do(t.Context(), dial(t, dir), Request{Command: "greet"}, hear); err != nil {
		t.Errorf("another command: %v", err)
	}
	hear, heard := hears("")
	err := Do(t.Context(), dial(t, dir), Request{Command: "wait"}, hear)
	const want = `8 "wait" commands for joe00@example.com, joe01@example.com, joe02@example.com and 5 more accounts have not ended yet`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v", err)
	}
	waiting[0].Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for len(*heard) == 0 && t.Context().Err() == nil { // until the daemon has noticed
		Do(ctx, dial(t, dir), Request{Command: "wait"}, func(ctx context.Context, e Event) (string, error) {
			cancel()
			return hear(ctx, e)
		})
	}
}

// TestSilent: connections that send no command keep others out for a short time only.
func TestSilent(t *testing.T) {
	dir := t.TempDir()
	listen(t, dir)
	var silent []net.Conn
	for range maxRequests {
		conn := dial(t, dir)
		defer conn.Close()
		silent = append(silent, conn)
	}
	err := Do(t.Context(), dial(t, dir), Request{Command: "tell"}, nil)
	if err == nil || !strings.Contains(err.Error(), "16 programs have connected and sent no command") {
		t.Errorf("err = %v", err)
	}
	silent[0].Close()
	hear, _ := hears("")
	for ctx := t.Context(); err != nil && ctx.Err() == nil; { // until that was noticed
		err = Do(ctx, dial(t, dir), Request{Command: "tell"}, hear)
	}
}

func TestListen(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", maxPath))
	if _, err := Listen(long); err == nil || !strings.Contains(err.Error(), "choose a shorter state_directory") {
		t.Errorf("a long path: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(path(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in its place: %v", err)
	}
}

// TestAcceptFails checks that Serve ends when its listener does.
func TestAcceptFails(t *testing.T) {
	dir := t.TempDir()
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := newServer().Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), path(dir)) {
		t.Errorf("err = %v", err)
	}
}
