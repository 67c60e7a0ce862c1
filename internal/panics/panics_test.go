package panics

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestCatch(t *testing.T) {
	if err := Catch(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("err = %v, want EOF", err)
	}
	err := Catch(func() error { return indexOutOfRange(nil) })
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("err = %v, want an *Error", err)
	}
	if want := "panic: runtime error: index out of range [0] with length 0"; err.Error() != want {
		t.Errorf("err = %q, want %q", err, want)
	}
	if origin := e.Origin(); !strings.HasPrefix(origin, "github.com/xoauthd/xoauthd/internal/panics.indexOutOfRange(") {
		t.Errorf("origin = %s", origin)
	}
}

func indexOutOfRange(list []error) error { return list[0] }

func TestOriginIsLimited(t *testing.T) {
	e := &Error{Stack: strings.Repeat("x", 2*maxOrigin)}
	if n := len(e.Origin()); n != maxOrigin {
		t.Errorf("%d bytes", n)
	}
}
