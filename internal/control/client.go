package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
)

// ErrNoDaemon is what errors.Is finds where no daemon listens.
var ErrNoDaemon = errors.New("no daemon takes commands")

// Dial connects to the daemon that has the state directory dir. Its error is an
// ErrNoDaemon, or an fs.ErrPermission where the daemon is another user's.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	return conn, err
}

// A Hear takes in an event, and gives the answer to one that asks. Its context
// is done when the daemon waits no longer.
type Hear func(ctx context.Context, e Event) (answer string, err error)

// Do has the daemon at the other end of conn, which it closes, carry out r. It
// returns the daemon's error, or that of hear or ctx, which end the conversation.
func Do(ctx context.Context, conn net.Conn, r Request, hear Hear) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	l := newLine(conn)
	r.Version = Version
	if err := l.write(r); err != nil && !errors.Is(err, syscall.EPIPE) { // why it hung up can be read
		return gone(ctx, err)
	}
	waited, waitNoMore := context.WithCancel(ctx)
	defer waitNoMore()
	events, end := make(chan Event), make(chan error, 1)
	go func() {
		err := receive(waited, l, events)
		waitNoMore() // a person may be being asked
		end <- err
	}()
	for {
		select {
		case err := <-end:
			return err
		case e := <-events:
			said, err := hear(waited, e)
			if err == nil && e.Ask {
				err = gone(waited, l.write(answer{said}))
			}
			if err != nil && !errors.Is(err, waited.Err()) { // the end has the reason for that
				return err
			}
		}
	}
}

// receive passes on events until the end, and returns what that says.
func receive(ctx context.Context, l *line, events chan<- Event) error {
	for {
		var m message
		if err := l.read(&m); err != nil {
			return gone(ctx, err)
		}
		switch {
		case m.End && m.Error != "":
			return errors.New(m.Error)
		case m.End:
			return nil
		}
		select {
		case events <- m.Event:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gone says what it means that the connection broke.
func gone(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrClosedPipe):
		return errors.New("the daemon ended before the command did")
	}
	return fmt.Errorf("talking to the daemon: %w", err)
}
