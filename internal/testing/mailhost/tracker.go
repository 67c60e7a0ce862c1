package mailhost

import (
	"errors"
	"io"
	"net"
	"sync"
)

// A tracker stores all open listeners and connections. The libraries cannot close all of
// their own: imapserver does not know those that it has just accepted, and go-smtp forgets
// them at shutdown.
type tracker struct {
	mu     sync.Mutex
	open   map[io.Closer]bool
	closed bool
	done   sync.WaitGroup
}

// add stores c. If the tracker is closed, it closes c and returns false.
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

// remove removes c without closing it.
func (t *tracker) remove(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[c] {
		delete(t.open, c)
		t.done.Done()
	}
}

// Close closes all listeners and connections, and waits until they are removed.
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

// A listener adds the connections that it accepts to a tracker.
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

// A conn leaves its tracker when it is closed, which both libraries do last.
type conn struct {
	net.Conn
	open *tracker
}

func (c conn) Close() error {
	c.open.remove(c.Conn)
	return c.Conn.Close()
}
