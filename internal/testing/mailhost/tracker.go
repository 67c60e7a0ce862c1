package mailhost

import (
	"errors"
	"io"
	"net"
	"sync"
)

// A tracker knows all that is open. The libraries cannot be asked to end their
// connections: imapserver does not know those it has just accepted, and
// go-smtp forgets them once it is shut down.
type tracker struct {
	mu     sync.Mutex
	open   map[io.Closer]bool
	closed bool
	done   sync.WaitGroup
}

// add takes note of c, or closes it and returns false if the tracker is
// closed.
func (t *tracker) add(c io.Closer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return false
	}
	if t.open == nil {
		t.open = make(map[io.Closer]bool)
	}
	t.open[c] = true
	t.done.Add(1)
	return true
}

// remove says that nobody uses c any more. It does not close it.
func (t *tracker) remove(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[c] {
		delete(t.open, c)
		t.done.Done()
	}
}

// Close closes all that is open, and waits until it has been removed.
func (t *tracker) Close() error {
	t.mu.Lock()
	t.closed = true
	var errs []error
	for c := range t.open {
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	t.mu.Unlock()
	t.done.Wait()
	return errors.Join(errs...)
}

// A listener puts the connections that it accepts into a tracker.
type listener struct {
	net.Listener
	open *tracker
}

func (ln listener) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !ln.open.add(c) {
		return nil, net.ErrClosed
	}
	return conn{c, ln.open}, nil
}

// A conn leaves its tracker when its session closes it, which both libraries
// do last of all.
type conn struct {
	net.Conn
	open *tracker
}

func (c conn) Close() error {
	c.open.remove(c.Conn)
	return c.Conn.Close()
}
