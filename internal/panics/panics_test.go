package panics

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
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

func TestLog(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	if Log(log, io.EOF, "account", "alice") || b.Len() > 0 {
		t.Errorf("not a panic: %s", &b)
	}
	err := fmt.Errorf("login: %w", Catch(func() error { return indexOutOfRange(nil) }))
	if !Log(log, err, "account", "alice") || !strings.Contains(b.String(), `msg=panic account=alice error="runtime error: index out of range [0] with length 0" stack="github.com/`) {
		t.Errorf("a panic: %s", &b)
	}
}

func indexOutOfRange(list []error) error { return list[0] }

func TestOriginIsLimited(t *testing.T) {
	e := &Error{Stack: strings.Repeat("x", 2*maxOrigin)}
	if n := len(e.Origin()); n != maxOrigin {
		t.Errorf("%d bytes", n)
	}
}
