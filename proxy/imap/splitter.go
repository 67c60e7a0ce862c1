package imap

import (
	"bytes"
	"strconv"
)

const (
	// maxHead is the number of octets that a splitter keeps of the beginning of a
	// line: a tag and the name of a command or response.
	maxHead = 128

	// maxTail is the number of octets that a splitter keeps of the end of a line:
	// the announcement of a literal, whose size has at most 20 digits.
	maxTail = 32
)

// A splitter splits one direction of a dialogue into lines and literals. The zero
// value is ready for use.
type splitter struct {
	head, tail []byte // of the current line
	first      []byte // head of the first line of a command or response with literals; nil if none
	literal    uint64 // remaining octets of the current literal
}

// next consumes octets of the current literal or line from the beginning of p, which
// must not be empty. It returns their number. lineEnd reports whether they end a
// line.
func (s *splitter) next(p []byte) (n int, lineEnd bool) {
	if s.literal > 0 {
		n = int(min(s.literal, uint64(len(p))))
		s.literal -= uint64(n)
		return n, false
	}
	n = bytes.IndexByte(p, '\n') + 1
	if lineEnd = n > 0; !lineEnd {
		n = len(p)
	}
	s.head = append(s.head, p[:min(n, maxHead-len(s.head))]...)
	s.tail = append(s.tail, p[max(0, n-maxTail):n]...)
	s.tail = s.tail[max(0, len(s.tail)-maxTail):]
	return n, lineEnd
}

// start returns the beginning of the current command or response.
func (s *splitter) start() string {
	head := s.head
	if s.first != nil {
		head = s.first
	}
	return string(bytes.TrimRight(head, "\r\n"))
}

// continueAfter continues the current command or response with a literal of the
// given size and another line.
func (s *splitter) continueAfter(literal uint64) {
	if s.first == nil {
		s.first = bytes.Clone(s.head)
	}
	s.head, s.tail, s.literal = s.head[:0], s.tail[:0], literal
}

// reset ends the current command or response.
func (s *splitter) reset() { s.head, s.tail, s.first, s.literal = s.head[:0], s.tail[:0], nil, 0 }

// announcedLiteral returns the size of the literal that the completed line
// announces. ok is false if it announces none. synchronizing reports whether the
// sender waits for a continuation request (RFC 9051 section 4.3, RFC 7888).
func (s *splitter) announcedLiteral() (size uint64, synchronizing, ok bool) {
	line, ok := bytes.CutSuffix(bytes.TrimRight(s.tail, "\r\n"), []byte("}"))
	at := bytes.LastIndexByte(line, '{')
	if !ok || at < 0 {
		return 0, false, false
	}
	digits, nonSynchronizing := bytes.CutSuffix(line[at+1:], []byte("+"))
	size, err := strconv.ParseUint(string(digits), 10, 64)
	return size, !nonSynchronizing, err == nil
}
