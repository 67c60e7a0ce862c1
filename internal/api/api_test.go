package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/internal/step"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeBackend behaves as the name of the account says.
type fakeBackend struct{ ended chan error }

func (*fakeBackend) Status() Status      { return Status{Version: "1.0", Fingerprint: "f"} }
func (*fakeBackend) Accounts() []Account { return []Account{{Name: "alice"}, {Name: "bob"}} }

func (*fakeBackend) Account(name string) (Account, error) {
	switch name {
	case "panic":
		panic("secret")
	case "nobody":
		return Account{}, &Error{Status: 404, What: "no account", Why: "there is none", Hint: "Restart."}
	case "broken":
		return Account{}, errors.New("it is broken\nRepair it.")
	}
	return Account{Name: name}, nil
}

func (b *fakeBackend) Check(ctx context.Context, account string, _ CheckRequest, s *Stream) (err error) {
	defer func() {
		if b.ended != nil {
			b.ended <- err
		}
	}()
	for account == "flood" {
		if err := s.Send(Event{Step: &step.Step{Name: strings.Repeat("x", 1000)}}); err != nil {
			return err
		}
	}
	if err := s.Send(Event{Step: &step.Step{Name: "one", Outcome: step.OK, Facts: map[string]any{"list": []string{"a<b"}}}}); err != nil {
		return err
	}
	switch account {
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "late":
		time.Sleep(time.Minute)
		return nil
	case "fail":
		return errors.New("it is broken\nRepair it.")
	case "panic":
		panic("secret")
	}
	return s.Send(Event{Step: &step.Step{Name: "two", Outcome: step.Skipped}})
}

func (*fakeBackend) Authorize(ctx context.Context, account string, s *Stream) error {
	a, err := s.Ask(ctx, Event{Consent: &Consent{Provider: account}})
	if err != nil {
		return err
	}
	b, err := s.Ask(ctx, Event{Confirm: &authorize.Result{Title: a.Address}})
	if err != nil {
		return err
	}
	return s.Send(Event{Result: &authorize.Result{OK: b.Replace}})
}

func (*fakeBackend) Import(_ context.Context, _, token string, s *Stream) error {
	return s.Send(Event{Result: &authorize.Result{Title: token}})
}

func (*fakeBackend) Revoke(_ context.Context, account string, by User, local bool) (Revocation, error) {
	return Revocation{Provider: account, Sessions: int(by), Deleted: local}, nil
}

// pipes is a listener without a network, so that its time can be virtual.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "test", Net: "unix"} }

func (p pipes) dial(context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	p <- there
	return here, nil
}

// An env is a server and a client of it.
type env struct {
	*Client
	pipes   pipes
	backend *fakeBackend
	stop    context.CancelFunc // announces the end of the server
}

// newEnv returns an env that ends with the test. Its server's version is 1.0.
func newEnv(t *testing.T, version string, user User) *env {
	t.Helper()
	stopping, stop := context.WithCancel(context.Background())
	w := &env{pipes: make(pipes), backend: new(fakeBackend), stop: stop}
	s := &Server{Backend: w.backend, Version: "1.0", Log: slog.New(slog.DiscardHandler), Stopping: stopping,
		User: func(*http.Request) (User, error) { return user, nil }}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 15 * time.Second} // as internal/daemon has it
	var all sync.WaitGroup
	all.Go(func() { server.Serve(w.pipes) })
	w.Client = NewClient(version, w.pipes.dial)
	t.Cleanup(func() {
		stop()
		server.Close()
		all.Wait()
	})
	return w
}

// run runs f with an env in virtual time.
func run(t *testing.T, f func(t *testing.T, w *env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newEnv(t, "1.0", 0)) })
}

// raw sends bytes, and returns the response.
func (w *env) raw(t *testing.T, request string) (status int, body string) {
	t.Helper()
	c, _ := w.pipes.dial(t.Context())
	defer c.Close()
	go io.WriteString(c, request)
	text, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	head, body, _ := strings.Cut(string(text), "\r\n\r\n")
	if !strings.Contains(head, "\r\nXoauthd-Version: 1.0\r\n") && strings.Contains(head, "json") {
		t.Errorf("no version in %s", head)
	}
	fmt.Sscanf(head, "HTTP/1.1 %d ", &status)
	return status, body
}

func TestClient(t *testing.T) {
	run(t, func(t *testing.T, w *env) {
		ctx := t.Context()
		if s, err := w.Status(ctx); err != nil || s.Fingerprint != "f" {
			t.Errorf("status: %+v, %v", s, err)
		}
		if all, err := w.Accounts(ctx); err != nil || len(all) != 2 || all[1].Name != "bob" {
			t.Errorf("accounts: %+v, %v", all, err)
		}
		if a, err := w.Account(ctx, "a/b %c?d@example.com"); err != nil || a.Name != "a/b %c?d@example.com" {
			t.Errorf("account: %+v, %v", a, err)
		}
		if r, err := w.Revoke(ctx, "alice", RevokeRequest{Local: true}); err != nil || r != (Revocation{Provider: "alice", Deleted: true}) {
			t.Errorf("revoke: %+v, %v", r, err)
		}
		var steps []step.Step
		if err := w.Check(ctx, "alice", CheckRequest{}, func(s step.Step) { steps = append(steps, s) }); err != nil || len(steps) != 2 || steps[1].Outcome != step.Skipped {
			t.Errorf("check: %+v, %v", steps, err)
		}
		var ok bool
		err := w.Authorize(ctx, "alice", func(_ context.Context, e Event) (Answer, error) {
			switch {
			case e.Consent != nil:
				return Answer{Address: "http://localhost/?code=x"}, nil
			case e.Confirm != nil:
				return Answer{Replace: e.Confirm.Title == "http://localhost/?code=x"}, nil
			}
			ok = e.Result.OK
			return Answer{}, nil
		})
		if err != nil || !ok {
			t.Errorf("authorize: %v, %v", ok, err)
		}
		var token string
		err = w.Import(ctx, "alice", ImportRequest{"secret"}, func(_ context.Context, e Event) (Answer, error) {
			token = e.Result.Title
			return Answer{}, nil
		})
		if err != nil || token != "secret" {
			t.Errorf("import: %q, %v", token, err)
		}
	})
}

func TestErrors(t *testing.T) {
	run(t, func(t *testing.T, w *env) {
		for name, want := range map[string]Error{
			"nobody": {404, "no account", "there is none", "Restart."},
			"broken": {500, "it is broken", "", "Repair it."},
			"panic":  {500, "internal error", "", "See the log of xoauthd."},
		} {
			_, err := w.Account(t.Context(), name)
			var e *Error
			if !errors.As(err, &e) || *e != want {
				t.Errorf("%s: %+v", name, err)
			}
		}
		for name, want := range map[string]string{"fail": "it is broken\nRepair it.", "panic": "internal error\nSee the log of xoauthd."} {
			n := 0
			if err := w.Check(t.Context(), name, CheckRequest{}, func(step.Step) { n++ }); err == nil || err.Error() != want || n != 1 {
				t.Errorf("%s after a step: %v, %d steps", name, err, n)
			}
		}
	})
}

// TestRequests sends requests that no client of ours sends.
func TestRequests(t *testing.T) {
	long := strings.Repeat("x", maxBody+1)
	for _, test := range []struct {
		name, line, body string
		status           int
		want             string
	}{
		{"no body", "POST /v1/accounts/alice/revoke", "", 200, `"provider":"alice"`},
		{"an empty object", "POST /v1/accounts/alice/check", "{}", 200, `{"step":{"name":"one","outcome":"ok","seconds":0,"facts":{"list":["a<b"]}}}`},
		{"an unknown field", "POST /v1/accounts/alice/revoke", `{"lokal":true}`, 400, `{"error":"invalid request","reason":"json: unknown field \"lokal\"","hint":`},
		{"a field of another request", "POST /v1/accounts/alice/check", `{"local":true}`, 400, `unknown field`},
		{"another type", "POST /v1/accounts/alice/revoke", `{"local":"yes"}`, 400, `invalid request`},
		{"two values", "POST /v1/accounts/alice/revoke", `{}{}`, 400, "text after the JSON value"},
		{"no JSON", "POST /v1/accounts/alice/revoke", "local=true", 400, "invalid request"},
		{"a long body", "POST /v1/accounts/alice/revoke", long, 413, "longer than 65536 bytes"},
		{"no token", "POST /v1/accounts/alice/import", "{}", 400, "the request has no refresh_token"},
		{"an unknown path", "GET /v2/status", "", 404, "there is no GET /v2/status"},
		{"another method", "DELETE /v1/accounts/alice", "", 404, "there is no DELETE /v1/accounts/alice"},
		{"an unknown question", "POST /v1/answers/x", "{}", 404, "does not wait for this answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, func(t *testing.T, w *env) {
				request := fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", test.line, len(test.body), test.body)
				if status, body := w.raw(t, request); status != test.status || !strings.Contains(body, test.want) {
					t.Errorf("%d %s", status, body)
				}
			})
		})
	}
}

// TestClientLeaves: a request ends at the daemon when its client leaves, or reads nothing for
// a while.
func TestClientLeaves(t *testing.T) {
	for _, name := range []string{"wait", "flood"} {
		run(t, func(t *testing.T, w *env) {
			w.backend.ended = make(chan error, 1)
			ctx, leave := context.WithCancel(t.Context())
			if err := w.Check(ctx, name, CheckRequest{}, func(step.Step) { leave() }); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the client returns %v", name, err)
			}
			if err := <-w.backend.ended; err == nil {
				t.Errorf("%s: the daemon does not notice", name)
			}
		})
	}
	run(t, func(t *testing.T, w *env) {
		w.backend.ended = make(chan error, 1)
		c, _ := w.pipes.dial(t.Context())
		defer c.Close()
		begun := time.Now()
		io.WriteString(c, "POST /v1/accounts/flood/check HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := <-w.backend.ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != writeTime {
			t.Errorf("a client that reads nothing: %v after %v", err, time.Since(begun))
		}
	})
}

// TestLateEnd: a stream that ends long after its last event ends without an error.
func TestLateEnd(t *testing.T) {
	run(t, func(t *testing.T, w *env) {
		if err := w.Check(t.Context(), "late", CheckRequest{}, func(step.Step) {}); err != nil {
			t.Error(err)
		}
	})
}

// TestAsk: the question to a person ends with an answer, after 10 minutes, or when the
// daemon stops. An answer counts once.
func TestAsk(t *testing.T) {
	wait := func(ctx context.Context, _ Event) (Answer, error) {
		<-ctx.Done() // a person at the prompt does nothing
		return Answer{}, ctx.Err()
	}
	run(t, func(t *testing.T, w *env) {
		begun := time.Now()
		if err := w.Authorize(t.Context(), "alice", wait); err == nil || err.Error() != "no answer within 10 minutes\nNothing was changed." || time.Since(begun) != askTime {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
	run(t, func(t *testing.T, w *env) {
		time.AfterFunc(time.Minute, w.stop)
		if err := w.Authorize(t.Context(), "alice", wait); err == nil || err.Error() != "xoauthd is stopping" {
			t.Errorf("%v", err)
		}
	})
	run(t, func(t *testing.T, w *env) {
		w.Authorize(t.Context(), "alice", func(ctx context.Context, e Event) (Answer, error) {
			if e.Consent == nil {
				return Answer{}, errors.New("enough")
			}
			time.Sleep(5 * time.Minute) // which a person takes
			if err := w.call(ctx, "POST", e.Answer, Answer{Address: "x"}, nil); err != nil {
				t.Error(err)
			}
			var again *Error
			if err := w.call(ctx, "POST", e.Answer, Answer{Address: "x"}, nil); !errors.As(err, &again) || again.Status != 404 {
				t.Errorf("the second answer: %v", err)
			}
			return Answer{}, errors.New("enough")
		})
	})
}

// TestListenerFails: the error of a listener ends the request, even if the end of the stream
// has already arrived.
func TestListenerFails(t *testing.T) {
	run(t, func(t *testing.T, w *env) {
		refused := errors.New("not me")
		for _, do := range []func(Listener) error{
			func(l Listener) error { return w.Authorize(t.Context(), "alice", l) },
			func(l Listener) error { return w.Import(t.Context(), "alice", ImportRequest{"x"}, l) },
		} {
			err := do(func(context.Context, Event) (Answer, error) {
				synctest.Wait() // until the end, if there is one, has arrived
				return Answer{}, refused
			})
			if err != refused {
				t.Errorf("err = %v", err)
			}
		}
	})
}

// TestSlots: requests that take long keep out only others of their kind. The error names
// them.
func TestSlots(t *testing.T) {
	run(t, func(t *testing.T, w *env) {
		ctx, leave := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for i := range maxOfKind {
			name := fmt.Sprintf("joe%02d", i)
			waiting.Go(func() {
				w.Authorize(ctx, name, func(ctx context.Context, _ Event) (Answer, error) {
					<-ctx.Done()
					return Answer{}, ctx.Err()
				})
			})
			waiting.Go(func() { w.Check(ctx, "wait", CheckRequest{}, func(step.Step) {}) })
		}
		synctest.Wait()
		if _, err := w.Status(t.Context()); err != nil {
			t.Errorf("status: %v", err)
		}
		if err := w.Import(t.Context(), "alice", ImportRequest{"x"}, func(context.Context, Event) (Answer, error) { return Answer{}, nil }); err != nil {
			t.Errorf("import: %v", err)
		}
		for name, do := range map[string]func() error{
			`8 "authorize" commands for joe00, joe01, joe02 and 5 more accounts have not ended yet`: func() error { return w.Authorize(t.Context(), "alice", nil) },
			`8 "check" commands for wait have not ended yet`:                                        func() error { return w.Check(t.Context(), "alice", CheckRequest{}, nil) },
		} {
			var e *Error
			if err := do(); !errors.As(err, &e) || e.Status != 503 || e.What != name {
				t.Errorf("%v, want %s", err, name)
			}
		}
		leave()
		waiting.Wait()
		synctest.Wait()
		if err := w.Check(t.Context(), "alice", CheckRequest{}, func(step.Step) {}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestPermit: only root and the daemon's user may send requests.
func TestPermit(t *testing.T) {
	for user, want := range map[User]bool{0: true, User(os.Geteuid()): true, 65534: false, User(os.Geteuid() + 1): false} {
		synctest.Test(t, func(t *testing.T) {
			w := newEnv(t, "1.0", user)
			_, err := w.Status(t.Context())
			var e *Error
			if (err == nil) != want || err != nil && (!errors.As(err, &e) || e.Status != 403) {
				t.Errorf("user %d: %v", user, err)
			}
		})
	}
}

// TestVersions: where a command and a daemon of different versions do not understand each
// other, the error has one sentence about that.
func TestVersions(t *testing.T) {
	const sentence = "The daemon has version 1.0, and this command version 2.0: restart the daemon."
	synctest.Test(t, func(t *testing.T) {
		w := newEnv(t, "2.0", 0)
		if _, err := w.Status(t.Context()); err != nil {
			t.Errorf("what both understand: %v", err)
		}
		var novelty struct{ Novelty bool }
		for name, err := range map[string]error{
			"an unknown endpoint": w.call(t.Context(), "GET", "/v1/novelty", nil, nil),
			"an unknown field":    w.call(t.Context(), "POST", "/v1/accounts/alice/revoke", map[string]bool{"novelty": true}, nil),
			"an unknown response": w.call(t.Context(), "GET", "/v1/status", nil, &novelty),
		} {
			if err == nil || strings.Count(err.Error(), sentence) != 1 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	for name, test := range map[string]struct{ response, want string }{
		"a daemon that does not speak HTTP": {`{"end":true,"error":"what?"}` + "\n", "The daemon has version unknown, and this command version 2.0: restart the daemon."},
		"an unknown event":                  {"HTTP/1.1 200 OK\r\nXoauthd-Version: 1.0\r\nConnection: close\r\n\r\n" + `{"novelty":1}` + "\n", sentence},
		"a daemon that dies":                {"HTTP/1.1 200 OK\r\nXoauthd-Version: 2.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", "the daemon ended before the command did"},
		"a daemon that dies at once":        {"", "the daemon ended before the command did"},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient("2.0", func(context.Context) (net.Conn, error) {
				here, there := net.Pipe()
				go func() {
					there.Read(make([]byte, 1000))
					io.WriteString(there, test.response)
					there.Close()
				}()
				return here, nil
			})
			if err := c.Check(t.Context(), "alice", CheckRequest{}, func(step.Step) {}); err == nil || strings.Count(err.Error(), test.want) != 1 {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestNoDaemon: the socket is missing, or a killed daemon left it.
func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, "1.0").Status(t.Context()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("without a socket: %v", err)
	}
	ln, err := net.Listen("unix", SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	if _, err := Open(dir, "1.0").Status(t.Context()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("with a stale socket: %v", err)
	}
}
