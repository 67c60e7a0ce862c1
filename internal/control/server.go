package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// maxRequests is how many connections may be about to send their request.
	maxRequests = 16

	// maxOfKind is how many requests of one command are carried out at a time. One in
	// which a person authorizes an account takes minutes, and must not keep out those
	// of other commands.
	maxOfKind = 8

	// requestTime is for the first line: programs do not hesitate.
	requestTime = 10 * time.Second
)

// A Handler carries out a command. Its context is done when the command has
// left, or the daemon stops. Its error is what a person is told.
type Handler func(ctx context.Context, r Request, c *Conversation) error

// A Server is the daemon's end of all conversations.
type Server struct {
	Handlers map[string]Handler // by command
	Log      *slog.Logger

	places places
}

// Serve has the conversations that come in at ln, which it closes, until ctx is
// done. It then returns nil when the last handler has ended. It ends with the first
// error of ln.Accept, so a listener has to get over passing ones by itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	defer ln.Close()
	var all sync.WaitGroup
	defer all.Wait()
	requests := make(chan struct{}, maxRequests)
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil && err != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		if err := permitted(conn); err != nil {
			s.Log.Warn("a command was refused", "why", err.Error())
			refuse(conn, err)
			continue
		}
		select {
		case requests <- struct{}{}:
			all.Go(func() { s.converse(ctx, conn, func() { <-requests }) })
		default:
			refuse(conn, fmt.Errorf("%d programs have connected and sent no command: try again in %v", maxRequests, requestTime))
		}
	}
}

// refuse ends a conversation before it begins. It does not wait for who does not
// read: the line is short, and goes into the socket's buffer.
func refuse(conn net.Conn, err error) {
	defer conn.Close()
	newLine(conn).write(message{End: true, Error: err.Error()})
}

// Converse has one conversation, and closes conn. It is to end when stopping is
// done.
func (s *Server) Converse(stopping context.Context, conn net.Conn) {
	s.converse(stopping, conn, func() {})
}

// converse is Converse. It calls requested when it reads no request any more.
func (s *Server) converse(stopping context.Context, conn net.Conn, requested func()) {
	ctx, cancel := context.WithCancelCause(stopping)
	defer cancel(nil)
	l := newLine(conn)
	conn.SetReadDeadline(time.Now().Add(requestTime))
	var r Request
	err := l.read(&r)
	requested()
	if err != nil {
		s.Log.Debug("no request came", "why", err.Error())
		refuse(conn, errUnclear)
		return
	}
	conn.SetReadDeadline(time.Time{})

	user, err := peerUser(conn)
	if err != nil {
		refuse(conn, err)
		return
	}
	c := &Conversation{line: l, answers: make(chan string, 1), user: user}
	var listening sync.WaitGroup
	listening.Go(func() { c.listen(cancel) })
	defer listening.Wait()
	defer conn.Close()

	end := message{End: true}
	switch err := s.handle(ctx, r, c); {
	case err == nil:
	case errors.Is(err, context.Canceled) && stopping.Err() != nil:
		end.Error = "the daemon is stopping"
	default:
		end.Error = err.Error()
	}
	s.Log.Debug("command", "command", r.Command, "account", r.Account, "error", end.Error)
	l.write(end) // a command that has left need not hear it
}

// handle makes an error of a panic: that ends one command, and not all sessions.
func (s *Server) handle(ctx context.Context, r Request, c *Conversation) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("panic", "command", r.Command, "why", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("internal error; see the log of xoauthd")
		}
	}()
	if r.Version != Version {
		return errOtherVersion
	}
	handler := s.Handlers[r.Command]
	if handler == nil {
		return fmt.Errorf("the daemon that runs does not know the command %q: restart the daemon", r.Command)
	}
	leave, err := s.places.enter(r)
	if err != nil {
		return err
	}
	defer leave()
	return handler(ctx, r, c)
}
