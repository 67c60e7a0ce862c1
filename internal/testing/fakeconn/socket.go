package fakeconn

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A Socket is one end of a net.Pipe that behaves as a socket: its peer can half-close it,
// and after Close its methods return net.ErrClosed.
type Socket struct {
	net.Conn
	HalfClosed chan time.Time // receives the time of each CloseWrite; nil is none

	hungUp, closed atomic.Bool
}

// CloseWrite records that this end was half-closed.
func (s *Socket) CloseWrite() error {
	if s.HalfClosed != nil {
		s.HalfClosed <- time.Now()
	}
	return nil
}

// HangUp half-closes the other end: further reads return io.EOF.
func (s *Socket) HangUp() {
	s.hungUp.Store(true)
	s.SetReadDeadline(time.Unix(1, 0))
}

// Close closes both ends.
func (s *Socket) Close() error {
	s.closed.Store(true)
	return s.Conn.Close()
}

// Read implements net.Conn. It returns io.EOF after HangUp, and net.ErrClosed after Close.
func (s *Socket) Read(p []byte) (int, error) {
	if s.hungUp.Load() {
		s.SetReadDeadline(time.Unix(1, 0))
	}
	n, err := s.Conn.Read(p)
	if err != nil && s.hungUp.Load() {
		err = io.EOF
	}
	return n, s.closedError(err)
}

// Write implements net.Conn. It returns net.ErrClosed after Close.
func (s *Socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	return n, s.closedError(err)
}

func (s *Socket) closedError(err error) error {
	if err != nil && s.closed.Load() {
		return net.ErrClosed
	}
	return err
}
