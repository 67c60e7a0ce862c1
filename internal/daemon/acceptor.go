package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/internal/exhausted"
)

const (
	// Accept waits this long after a first error, twice as long after each
	// further one, and at most longestWait.
	shortestWait = 5 * time.Millisecond
	longestWait  = time.Second

	// acceptLogInterval is the shortest time between two log lines of one
	// listener about errors.
	acceptLogInterval = time.Minute
)

// An acceptor is a listener whose Accept fails only when the listener is closed.
// After any other error, such as a lack of file descriptors, it waits and tries again:
// sessions go on, and some will end. Its probe finds out whether a goroutine calls Accept.
// It needs no connection and no free descriptor, and does not wait for the end of the
// pause after an error.
type acceptor struct {
	net.Listener
	name   string // in log and metric
	log    *slog.Logger
	errors prometheus.Counter
	closed chan struct{}
	once   sync.Once
	probed chan struct{} // holds a token after a probe began, for an Accept that waits

	mu     sync.Mutex
	probes []chan struct{} // closed when Accept notices them

	// Used by Accept only.
	wait     time.Duration // after the next error
	unlogged int           // errors since the last log line
	logged   time.Time     // when that was
}

func newAcceptor(ln net.Listener, name string, log *slog.Logger, errors prometheus.Counter) *acceptor {
	return &acceptor{Listener: ln, name: name, log: log, errors: errors, closed: make(chan struct{}), probed: make(chan struct{}, 1), wait: shortestWait}
}

// Accept returns the next connection. One goroutine at a time may call it.
func (a *acceptor) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		switch {
		case err == nil:
			a.wait = shortestWait
			return c, nil
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case errors.Is(err, os.ErrDeadlineExceeded) && a.answer():
		default:
			a.failed(err)
			select {
			case <-time.After(a.wait):
			case <-a.closed:
			case <-a.probed:
			}
			a.wait = min(2*a.wait, longestWait)
		}
	}
}

// failed counts an error of Accept. It logs the first, and once in
// acceptLogInterval how many there were since.
func (a *acceptor) failed(err error) {
	a.errors.Inc()
	a.unlogged++
	if !a.logged.IsZero() && time.Since(a.logged) < acceptLogInterval {
		return
	}
	attrs := []any{"listener", a.name, "address", a.Addr().String(), "error", err.Error(), "errors", a.unlogged}
	if hint := exhausted.Hint(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	a.log.Error("accepting connections failed; trying again", attrs...)
	a.unlogged, a.logged = 0, time.Now()
}

// probe returns nil when Accept has noticed the call: then there is a goroutine
// that accepts connections. It wakes Accept by a deadline that has passed.
func (a *acceptor) probe(ctx context.Context) error {
	ln, ok := a.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return fmt.Errorf("%s listener %s: %w", a.name, a.Addr(), errors.ErrUnsupported)
	}
	noticed := make(chan struct{})
	a.mu.Lock()
	a.probes = append(a.probes, noticed)
	err := ln.SetDeadline(time.Unix(1, 0))
	a.mu.Unlock()
	select {
	case a.probed <- struct{}{}:
	default:
	}
	if err == nil {
		select {
		case <-noticed:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return fmt.Errorf("%s listener %s does not accept connections: %w", a.name, a.Addr(), err)
}

// answer ends the waiting probes. It returns false if there are none.
func (a *acceptor) answer() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Time{})
	probes := a.probes
	a.probes = nil
	for _, noticed := range probes {
		close(noticed)
	}
	return len(probes) > 0
}

// Close closes the listener. Accept then returns an error.
func (a *acceptor) Close() error {
	a.once.Do(func() { close(a.closed) })
	return a.Listener.Close()
}
