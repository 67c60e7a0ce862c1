// Package shutdown tells handlers when to end. It imports nothing of this module, so every
// package may import it.
package shutdown

import (
	"context"
	"errors"
)

// ErrStopping is the cause of a context that a Shutdown has canceled.
var ErrStopping = errors.New("xoauthd is stopping")

// A Shutdown has two moments: it begins, and then its deadline passes. What waits for a
// person ends when it begins. What must not be lost, such as the exchange of a code, may go
// on until the deadline. A nil Shutdown never begins. Its methods may be called concurrently.
type Shutdown struct {
	begun, deadline context.Context
	begin, expire   context.CancelCauseFunc
}

// New returns a Shutdown that has not begun.
func New() *Shutdown {
	s := new(Shutdown)
	s.begun, s.begin = context.WithCancelCause(context.Background())
	s.deadline, s.expire = context.WithCancelCause(context.Background())
	return s
}

// Begin begins the shutdown.
func (s *Shutdown) Begin() { s.begin(ErrStopping) }

// Expire marks the deadline as passed.
func (s *Shutdown) Expire() { s.expire(ErrStopping) }

// Begun returns a context that is done when the shutdown begins.
func (s *Shutdown) Begun() context.Context { return s.begun }

// Deadline returns a context that is done when the deadline has passed.
func (s *Shutdown) Deadline() context.Context { return s.deadline }

// UntilBegun returns ctx, which is then also done when the shutdown begins.
func (s *Shutdown) UntilBegun(ctx context.Context) (context.Context, context.CancelFunc) {
	if s == nil {
		return context.WithCancel(ctx)
	}
	return until(s.begun, ctx)
}

// UntilDeadline returns ctx, which is then also done when the deadline passes.
func (s *Shutdown) UntilDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if s == nil {
		return context.WithCancel(ctx)
	}
	return until(s.deadline, ctx)
}

// Finish is UntilDeadline for work that must go on when ctx is done, because its result
// would be lost.
func (s *Shutdown) Finish(ctx context.Context) (context.Context, context.CancelFunc) {
	return s.UntilDeadline(context.WithoutCancel(ctx))
}

func until(end, ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(end, func() { cancel(ErrStopping) })
	return ctx, func() { stop(); cancel(nil) }
}
