package step

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPrintWidth(t *testing.T) {
	var b strings.Builder
	words := strings.Repeat("word ", 60)
	s := Step{Name: "IMAP login at outlook.office365.com:993", Outcome: Failed, Seconds: 12.345, Detail: words, Cause: words, Remedy: words}
	if err := Print(&b, s); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if len(strings.TrimSuffix(line, "\n")) > width {
			t.Errorf("too wide: %q", line)
		}
	}
	if got := strings.Count(b.String(), "word"); got != 180 {
		t.Errorf("%d words, want 180", got)
	}
	if err := Print(full{}, s); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Print: %v", err)
	}
}

// full is a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestLasted(t *testing.T) {
	for took, want := range map[int]string{0: "", 99: "", 100: "0.1 s", 12340: "12.3 s"} {
		var s Step
		s.Took(time.Duration(took) * time.Millisecond)
		if got := s.Lasted(); got != want {
			t.Errorf("%d ms: %q, want %q", took, got, want)
		}
	}
}
