package wire

import (
	"strings"
	"testing"
	"time"
)

// FuzzReadLine checks that ReadLine returns lines within all limits and then an
// error, and that the lines joined together are the input.
func FuzzReadLine(f *testing.F) {
	for _, text := range []string{
		"", "a\r\n", "a\nb\r\n", "a\rb\r\n", "\r\n\r\n", "\x16\x03", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "a\r\n\x00\r\nb",
		strings.Repeat("\r\n", MaxLines+1),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := New(&fakeConn{in: strings.NewReader(text)}, time.Second)
		var lines []string
		octets := 0
		for {
			line, err := c.ReadLine()
			if err != nil {
				break
			}
			lines = append(lines, line)
			octets += len(line) + len("\r\n")
			if strings.Contains(line, "\n") || len(line)+len("\r\n") > MaxLine || len(lines) > MaxLines || octets > MaxOctets {
				t.Fatalf("line %d of %d octets: %.100q", len(lines), octets, line)
			}
		}
		if len(lines) > 0 && !strings.HasPrefix(text, strings.Join(lines, "\r\n")+"\r\n") {
			t.Errorf("%q was read as %q", text, lines)
		}
	})
}
