package shutdown

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New()
		client, leave := context.WithCancel(t.Context())
		waiting, cancel := s.UntilBegun(client)
		defer cancel()
		working, cancel := s.UntilDeadline(client)
		defer cancel()
		finishing, cancel := s.Finish(client)
		defer cancel()
		expect := func(when string, waits, works, finishes bool) {
			t.Helper()
			synctest.Wait()
			if (waiting.Err() == nil) != waits || (working.Err() == nil) != works || (finishing.Err() == nil) != finishes {
				t.Errorf("%s: %v, %v, %v", when, waiting.Err(), working.Err(), finishing.Err())
			}
		}
		expect("before", true, true, true)
		s.Begin()
		expect("begun", false, true, true)
		if cause := context.Cause(waiting); !errors.Is(cause, ErrStopping) || s.Begun().Err() == nil {
			t.Errorf("cause = %v", cause)
		}
		leave()
		expect("the client has left", false, false, true)
		s.Expire()
		expect("expired", false, false, false)
	})
}

func TestNever(t *testing.T) {
	var s *Shutdown
	for _, f := range []func(context.Context) (context.Context, context.CancelFunc){s.UntilBegun, s.UntilDeadline, s.Finish} {
		ctx, cancel := f(t.Context())
		if ctx.Err() != nil {
			t.Error(ctx.Err())
		}
		cancel()
		if ctx.Err() == nil {
			t.Error("cancel has no effect")
		}
	}
}
