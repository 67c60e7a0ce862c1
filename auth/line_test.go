package auth

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The newest has the next turn, and who leaves the line or waits too long has none.
func TestLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{turns: 1}
		if err := l.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := make(chan string, 4)
		come := func(ctx context.Context, name string, want error) {
			go func() {
				err := l.enter(ctx)
				if !errors.Is(err, want) {
					t.Errorf("%s: err = %v, want %v", name, err, want)
				}
				left <- name
			}()
			synctest.Wait()
		}
		come(t.Context(), "old", ErrGuesses)
		time.Sleep(maxWait)
		come(t.Context(), "first", nil)
		gone, hangUp := context.WithCancel(t.Context())
		come(gone, "gone", context.Canceled)
		come(t.Context(), "last", nil)
		hangUp()
		synctest.Wait()
		for range 3 {
			l.leave()
			synctest.Wait()
		}
		order := []string{<-left, <-left, <-left, <-left}
		slices.Sort(order[1:3]) // which are told at once
		if want := []string{"gone", "last", "old", "first"}; !slices.Equal(order, want) {
			t.Errorf("order = %v, want %v", order, want)
		}
		if l.taken != 0 || len(l.waiting) != 0 {
			t.Errorf("%d have a turn and %d wait, though all left", l.taken, len(l.waiting))
		}
	})
}

// A turn that is not yet due holds who has it, and is not lost if that one leaves.
func TestLineSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &line{turns: 1, next: time.Now().Add(time.Second)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		for _, tt := range []struct {
			ctx   context.Context
			err   error
			after time.Duration
		}{{ctx, context.DeadlineExceeded, time.Millisecond}, {t.Context(), nil, time.Second}} {
			if err := l.enter(tt.ctx); !errors.Is(err, tt.err) || time.Since(start) != tt.after {
				t.Errorf("err = %v after %v, want %v after %v", err, time.Since(start), tt.err, tt.after)
			}
		}
	})
}

// Nobody is given a turn twice, or none, who leaves at the moment it comes.
func TestLineHangUp(t *testing.T) {
	l := &line{turns: 1}
	for i := range 1000 {
		if err := l.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.enter(ctx) }()
		go hangUp()
		l.leave()
		if <-done == nil {
			l.leave()
		}
		if l.taken != 0 {
			t.Fatalf("%d: the turn is lost", i)
		}
	}
}
