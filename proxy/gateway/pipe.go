package gateway

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A pipeConn is one end of a connection in this process. It consists of two net.Pipes, one
// for each direction, so that each end can close its write side alone. Nothing is buffered:
// a Write waits until the peer has read.
type pipeConn struct {
	in, out net.Conn
}

func newPipe() (client, server *pipeConn) {
	toServer, fromClient := net.Pipe()
	toClient, fromServer := net.Pipe()
	return &pipeConn{in: fromServer, out: toServer}, &pipeConn{in: fromClient, out: toClient}
}

func (p *pipeConn) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipeConn) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p *pipeConn) CloseWrite() error           { return p.out.Close() }
func (p *pipeConn) Close() error                { return errors.Join(p.in.Close(), p.out.Close()) }
func (p *pipeConn) LocalAddr() net.Addr         { return p.out.LocalAddr() }
func (p *pipeConn) RemoteAddr() net.Addr        { return p.out.RemoteAddr() }

func (p *pipeConn) SetReadDeadline(t time.Time) error  { return p.in.SetReadDeadline(t) }
func (p *pipeConn) SetWriteDeadline(t time.Time) error { return p.out.SetWriteDeadline(t) }
func (p *pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(p.in.SetReadDeadline(t), p.out.SetWriteDeadline(t))
}

// A pipeListener accepts the connections that dial makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// dial returns a connection to the server, which sees it as wrapped by wrap.
func (l *pipeListener) dial(ctx context.Context, wrap func(net.Conn) net.Conn) (net.Conn, error) {
	client, server := newPipe()
	select {
	case l.conns <- wrap(server):
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
