package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
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

// TestLastRequest: a request that is there when the daemon is stopped is
// finished; after a while it gets nothing more to wait for, and in the end no
// connection, but the store is not closed over it.
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
				late, hurry := context.WithCancel(t.Context())
				begun, returned := make(chan struct{}), false
				ln := newPipes()
				e := newEndpoint(ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					close(begun)
					test.work(late)
					returned = true
				}), hurry, slog.New(slog.DiscardHandler))
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
				if err := <-ended; err != nil || !returned || late.Err() == nil {
					t.Errorf("ended with %v; the handler returned: %v, was hurried: %v", err, returned, late.Err())
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

// TestWhatHandlersLeaveRunning: a code for a device is waited for long after the
// page with it was sent. At the end nobody is waited for, but what is saved
// then is saved before the store is closed.
func TestWhatHandlersLeaveRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, hurry := context.WithCancel(t.Context())
		ln, saved := newPipes(), false
		var e *endpoint
		e = newEndpoint(ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			e.handlers.Go(func() {
				<-late.Done()
				time.Sleep(time.Second)
				saved = true
			})
		}), hurry, slog.New(slog.DiscardHandler))
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
		if err := <-ended; err != nil || !saved {
			t.Errorf("ended with %v; saved: %v", err, saved)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("took %v", d)
		}
	})
}
