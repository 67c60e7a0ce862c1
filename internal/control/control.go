// Package control is how a command has the daemon, which alone may use the
// grants, carry it out. Each command is one conversation over a unix socket, of
// JSON values, one a line: the command sends a Request; the daemon sends an Event
// for each thing there is to tell, and last an end, with why the command failed
// if it did. An event may ask, and is then answered before there is another. A
// command that leaves cancels what the daemon does for it.
package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Version is that of the conversation. A daemon and a command of different
// versions do not try: one of them is older than the program that is installed.
// The request's version, and the end, are read by all.
const Version = 1

const (
	// maxLine is in bytes, its end included. A refresh token or the address of a
	// callback is the longest that anybody has to say.
	maxLine = 64 << 10

	// writeTime is for one line: the other end is a program that reads.
	writeTime = 10 * time.Second
)

// A Request is what a command wants.
type Request struct {
	Version int    `json:"version"` // set by Do
	Command string `json:"command"`
	Account string `json:"account,omitempty"` // what it is about, if one account
}

// An Event is something that the daemon tells.
type Event struct {
	Name string          `json:"event,omitempty"` // what Data is, by agreement between both ends
	Data json.RawMessage `json:"data,omitempty"`
	Ask  bool            `json:"ask,omitempty"` // the daemon waits for an answer
}

// Decode makes v of what the event tells.
func (e Event) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return nil
}

// A message is an event, or the end of the conversation.
type message struct {
	Event
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"` // why the command failed; empty if it did not
}

// An answer is what a command says to an event that asks.
type answer struct {
	Answer string `json:"answer"`
}

// errOtherVersion is told to people whose command and daemon do not match.
var errOtherVersion = errors.New("the daemon that runs is not of the version of this command: restart the daemon")

// A line is one end of a conversation.
type line struct {
	net.Conn
	scanner *bufio.Scanner
}

func newLine(c net.Conn) *line {
	s := bufio.NewScanner(c)
	s.Buffer(nil, maxLine)
	return &line{c, s}
}

// read makes v of the next line. The error is io.EOF if there is none.
func (l *line) read(v any) error {
	if !l.scanner.Scan() {
		if err := l.scanner.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	return json.Unmarshal(l.scanner.Bytes(), v)
}

// write sends v on a line.
func (l *line) write(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(data) >= maxLine {
		return fmt.Errorf("a line of %d bytes is too long", len(data))
	}
	if err := l.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err = l.Write(append(data, '\n'))
	return err
}
