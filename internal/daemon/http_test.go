package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Pipes is a listener without a network, so that its time can be virtual.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// TestLastRequest checks that the shutdown finishes running requests. After lastRequest, their
// contexts end; after lastAnswer, their connections. serve returns when the handlers have.
func TestLastRequest(t *testing.T) {
	for _, test := range []struct {
		name     string
		work     func(late context.Context)
		took     time.Duration
		answered bool
	}{
		{"quick", func(context.Context) { time.Sleep(time.Second) }, time.Second, true},
		{"as long as an exchange and a login", func(context.Context) { time.Sleep(13 * time.Second) }, 13 * time.Second, true},
		{"waiting for others", func(late context.Context) { <-late.Done() }, lastRequest, true},
		{"saving to a slow disk", func(context.Context) { time.Sleep(20 * time.Second) }, 20 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, returned := make(chan struct{}), false
				ln := newPipes()
				e := newEndpoint([]net.Listener{ln}, slog.New(slog.DiscardHandler))
				e.handle(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					close(begun)
					test.work(e.shutdown.Deadline())
					returned = true
				}))
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- e.serve(ctx) }()
				answered := make(chan bool, 1)
				go func() {
					client := http.Client{Transport: &http.Transport{DialContext: ln.dial, DisableKeepAlives: true}}
					answer, err := client.Get("http://localhost/callback")
					if err == nil {
						_, err = io.Copy(io.Discard, answer.Body)
						err = errors.Join(err, answer.Body.Close())
					}
					answered <- err == nil
				}()
				<-begun
				stop()
				start := time.Now()
				if err := <-ended; err != nil || !returned || e.shutdown.Deadline().Err() == nil {
					t.Errorf("ended with %v; the handler returned: %v, time left: %v", err, returned, e.shutdown.Deadline().Err() == nil)
				}
				if d := time.Since(start); d < test.took || d > test.took+time.Second {
					t.Errorf("took %v, want %v", d, test.took)
				}
				if got := <-answered; got != test.answered {
					t.Errorf("answered: %v, want %v", got, test.answered)
				}
			})
		})
	}
}

// TestWhatHandlersLeaveRunning checks the shutdown during a device flow, which continues after
// its page was sent. The wait for the person ends at once. After the person has agreed, the
// flow has as much time as a request, and its grant is saved before the store is closed.
func TestWhatHandlersLeaveRunning(t *testing.T) {
	const save = time.Second
	for _, test := range []struct {
		name    string
		work    func(e *endpoint)
		took    time.Duration
		hurried bool // before the work was done
	}{
		{"the person has not agreed", func(e *endpoint) { <-e.shutdown.Begun().Done() }, 0, false},
		{"trial login in progress", func(*endpoint) { time.Sleep(time.Minute + 5*time.Second) }, 5 * time.Second, false},
		{"a mail server that does not answer", func(e *endpoint) { <-e.shutdown.Deadline().Done() }, lastRequest, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, saved, hurried := newPipes(), false, false
				e := newEndpoint([]net.Listener{ln}, slog.New(slog.DiscardHandler))
				e.handle(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					e.handlers.Go(func() {
						test.work(e)
						time.Sleep(save)
						hurried = e.shutdown.Deadline().Err() != nil
						saved = true
					})
				}))
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- e.serve(ctx) }()
				client := http.Client{Transport: &http.Transport{DialContext: ln.dial, DisableKeepAlives: true}}
				answer, err := client.Get("http://localhost/authorize/joe@example.com")
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				time.Sleep(time.Minute)
				stop()
				start := time.Now()
				if err := <-ended; err != nil || !saved || hurried != test.hurried {
					t.Errorf("ended with %v; saved: %v, hurried: %v", err, saved, hurried)
				}
				if d := time.Since(start) - save; d < test.took || d > test.took+time.Second {
					t.Errorf("took %v, want %v", d, test.took)
				}
			})
		})
	}
}

// TestServingFails checks that running requests are finished if a listener fails.
func TestServingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, saved := newPipes(), false
		e := newEndpoint([]net.Listener{ln}, slog.New(slog.DiscardHandler))
		e.handle(http.NotFoundHandler())
		e.handlers.Go(func() {
			<-e.shutdown.Begun().Done()
			time.Sleep(time.Second)
			saved = true
		})
		close(ln.closed)
		e.listeners[0] = closedOnce{ln}
		if err := e.serve(t.Context()); !errors.Is(err, net.ErrClosed) || !saved {
			t.Errorf("ended with %v; saved: %v", err, saved)
		}
	})
}

// A closedOnce is closed already.
type closedOnce struct{ net.Listener }

func (closedOnce) Close() error { return nil }

// TestMetricsLog checks that clients cannot fill the log by leaving.
func TestMetricsLog(t *testing.T) {
	var log strings.Builder
	l := metricsLog{slog.New(slog.NewTextHandler(&log, nil))}
	l.Println("error encoding and sending metric family:", errors.New("broken pipe"))
	l.Println("error gathering metrics:", errors.New("collected before"))
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "level=ERROR msg=\"metrics request failed\" error=\"error gathering metrics: collected before\"") {
		t.Errorf("the log is\n%s", &log)
	}
}
