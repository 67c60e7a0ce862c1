// Package tape has a peer that says all at once what it has to say, whatever it
// is told, to fuzz the other end of a dialogue.
package tape

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

// A Tape is a connection to such a peer.
type Tape struct {
	net.Conn // nil: a dialogue needs no more than there is here
	said     io.Reader
	told     bytes.Buffer
}

// Play returns a connection to a peer that says text.
func Play(text string) (*Tape, *wire.Conn) {
	t := &Tape{said: strings.NewReader(text)}
	return t, wire.New(t, time.Second)
}

// PlayLines is Play for a peer that says one line at a time: an upstream that
// answers, and does not send more than that.
func PlayLines(text string) *wire.Conn {
	return wire.New(&Tape{said: &lines{bufio.NewReader(strings.NewReader(text))}}, time.Second)
}

// lines is a reader that returns no more than one line at a time.
type lines struct{ *bufio.Reader }

func (l *lines) Read(p []byte) (n int, err error) {
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

// Told is what the peer has been told so far, but for the alert by which a
// handshake ends that it does not begin well.
func (t *Tape) Told() string {
	told, _, _ := strings.Cut(t.told.String(), "\x15\x03")
	return told
}

// Lines is the same, line by line, without their endings.
func (t *Tape) Lines() []string {
	return strings.Split(strings.TrimSuffix(t.Told(), "\r\n"), "\r\n")
}

func (t *Tape) Read(p []byte) (int, error)     { return t.said.Read(p) }
func (t *Tape) Write(p []byte) (int, error)    { return t.told.Write(p) }
func (*Tape) SetReadDeadline(time.Time) error  { return nil }
func (*Tape) SetWriteDeadline(time.Time) error { return nil }

// Seeds returns what a peer, "C" or "U", says in each of the dialogues of
// protocol, which are in folder.
func Seeds(f *testing.F, folder, protocol, peer string) (seeds []string) {
	files, err := filepath.Glob(filepath.Join(folder, protocol+"-*.dialog"))
	if err != nil || len(files) == 0 {
		f.Fatal("no dialogues", err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(script)) {
			if text, ok := strings.CutPrefix(line, peer+"> "); ok {
				said.WriteString(strings.TrimSuffix(text, "\n") + "\r\n")
			}
		}
		seeds = append(seeds, said.String())
	}
	return seeds
}
