// Package panics turns a panic into an error, so that it ends one session, refresh or
// request and not the process.
package panics

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
)

// Catch runs f and returns its error. If f panics, the error is an *Error.
func Catch(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &Error{Value: value, Stack: string(debug.Stack())}
		}
	}()
	return f()
}

// An Error is a panic.
type Error struct {
	Value any
	Stack string
}

func (e *Error) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Log logs err if it is an *Error, and reports whether it is.
func Log(log *slog.Logger, err error, attrs ...any) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	log.Error("panic", append(attrs, "error", fmt.Sprintf("%.1000s", fmt.Sprint(e.Value)), "stack", e.Origin())...)
	return true
}

// maxOrigin limits Origin, in bytes.
const maxOrigin = 4000

// Origin returns the stack from the function that panicked, at most its first 4000 bytes.
func (e *Error) Origin() string {
	stack := e.Stack
	if _, below, ok := strings.Cut(stack, "\npanic("); ok {
		_, stack, _ = strings.Cut(below, "\n")
		_, stack, _ = strings.Cut(stack, "\n")
	}
	return stack[:min(len(stack), maxOrigin)]
}
