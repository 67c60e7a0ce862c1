// Package fakeconn provides connections to a peer whose output is known in advance,
// to fuzz the other side of a dialogue.
package fakeconn

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Conn is a connection whose input is a fixed text and whose output is recorded.
type Conn struct {
	net.Conn // nil: a dialogue needs only the methods below
	input    io.Reader
	output   bytes.Buffer
}

// New returns a connection to a peer that sends text at once, and a wire.Conn over it.
func New(text string) (*Conn, *wire.Conn) {
	c := &Conn{input: strings.NewReader(text)}
	return c, wire.New(c, time.Second)
}

// NewByLine returns a wire.Conn to a peer that sends text one line at a time, as an
// upstream does that only answers commands.
func NewByLine(text string) *wire.Conn {
	return wire.New(&Conn{input: &lineReader{bufio.NewReader(strings.NewReader(text))}}, time.Second)
}

// A lineReader returns at most one line for each Read.
type lineReader struct{ *bufio.Reader }

func (l *lineReader) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if p[n], err = l.ReadByte(); err == nil {
			if n++; p[n-1] == '\n' {
				break
			}
		}
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

// Output returns what has been written so far, without the alert of a failed TLS
// handshake.
func (c *Conn) Output() string {
	output, _, _ := strings.Cut(c.output.String(), "\x15\x03")
	return output
}

// OutputLines returns the lines of Output, without their line endings.
func (c *Conn) OutputLines() []string {
	return strings.Split(strings.TrimSuffix(c.Output(), "\r\n"), "\r\n")
}

// Read implements net.Conn. It returns io.EOF at the end of the text.
func (c *Conn) Read(p []byte) (int, error) { return c.input.Read(p) }

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) { return c.output.Write(p) }

// SetReadDeadline implements net.Conn. It has no effect: reads return at once.
func (*Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn. It has no effect: writes return at once.
func (*Conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn. It has no effect: reads and writes return at once.
func (*Conn) SetDeadline(time.Time) error { return nil }

// Seeds returns the text that peer, "C" or "U", sends in each dialogue of protocol in
// the directory dir.
func Seeds(f *testing.F, dir, protocol, peer string) (seeds []string) {
	files, err := filepath.Glob(filepath.Join(dir, protocol+"-*.dialog"))
	if err != nil || len(files) == 0 {
		f.Fatal("no dialogues", err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var sent strings.Builder
		for line := range strings.Lines(string(script)) {
			if text, ok := strings.CutPrefix(line, peer+"> "); ok {
				sent.WriteString(strings.TrimSuffix(text, "\n") + "\r\n")
			}
		}
		seeds = append(seeds, sent.String())
	}
	return seeds
}
