package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// FuzzConverse: whatever a command sends, it is told in lines of JSON, the last of
// which is the end.
func FuzzConverse(f *testing.F) {
	for _, text := range []string{
		`{"version":1,"command":"greet","account":"joe@example.com"}` + "\n" + `{"answer":"joe"}`, `{"version":1,"command":"tell"}`,
		`{"version":1,"command":"panic"}`, `{"version":1,"command":"large"}`, `{"version":2}`, `{"version":1,"command":"\u0000"}`, "[]", "\n", "",
	} {
		f.Add(text)
	}
	handlers := newServer().Handlers
	delete(handlers, "flood") // which ends when nobody listens
	f.Fuzz(func(t *testing.T, text string) {
		here, there := net.Pipe()
		defer here.Close()
		// There may be a question or none; one answer too many ends it, too.
		go io.WriteString(here, text+"\n"+strings.Repeat(`{"answer":"x"}`+"\n", 3))
		ended := make(chan bool)
		go func() {
			(&Server{Handlers: handlers, Log: slog.New(slog.DiscardHandler)}).Converse(t.Context(), there)
			close(ended)
		}()
		var last message
		lines := bufio.NewReaderSize(here, maxLine)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				if len(line) > 0 || !errors.Is(err, io.EOF) {
					t.Errorf("%q, %v", line, err)
				}
				break
			}
			if last = (message{}); json.Unmarshal(line, &last) != nil {
				t.Errorf("line %q", line)
			}
		}
		if <-ended; !last.End {
			t.Errorf("the last line is %+v", last)
		}
	})
}
