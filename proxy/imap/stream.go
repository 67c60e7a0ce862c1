package imap

import (
	"bytes"
	"regexp"
	"strconv"
)

const (
	// maxHead is how much of the beginning of a line a stream keeps: a tag and the
	// name of a command or of a response.
	maxHead = 128

	// maxTail is how much of the end of a line a stream keeps: the announcement of a
	// literal, whose size has 20 digits at most.
	maxTail = 32
)

// A stream takes one direction of a dialogue apart into lines and literals. The zero
// value is ready to use.
type stream struct {
	head, tail []byte // of the current line
	first      []byte // the head of the line that the current literals and lines go on; nil if none
	literal    uint64 // octets of a literal that are still to come
}

// next takes octets off the beginning of p, which must not be empty: as many as
// belong to the current literal or line. It returns how many it took, and whether they
// end a line.
func (s *stream) next(p []byte) (n int, over bool) {
	if s.literal > 0 {
		n = int(min(s.literal, uint64(len(p))))
		s.literal -= uint64(n)
		return n, false
	}
	n = bytes.IndexByte(p, '\n') + 1
	if over = n > 0; !over {
		n = len(p)
	}
	s.head = append(s.head, p[:min(n, maxHead-len(s.head))]...)
	s.tail = append(s.tail, p[max(0, n-maxTail):n]...)
	s.tail = s.tail[max(0, len(s.tail)-maxTail):]
	return n, over
}

// begins returns the beginning of the command or response that the current line
// belongs to.
func (s *stream) begins() string {
	head := s.head
	if s.first != nil {
		head = s.first
	}
	return string(bytes.TrimRight(head, "\r\n"))
}

// goesOn notes that a literal follows the line that has ended, and then another line.
func (s *stream) goesOn(literal uint64) {
	if s.first == nil {
		s.first = bytes.Clone(s.head)
	}
	s.head, s.tail, s.literal = s.head[:0], s.tail[:0], literal
}

// reset notes that a command or response has ended.
func (s *stream) reset() { s.head, s.tail, s.first, s.literal = s.head[:0], s.tail[:0], nil, 0 }

var literalEnd = regexp.MustCompile(`~?\{([0-9]+)(\+?)\}\r?\n$`)

// announces returns the size of the literal that the line which has ended announces,
// if it does, and whether the one who sends it waits for leave to do so (RFC 9051
// section 4.3, RFC 7888).
func (s *stream) announces() (size uint64, waits, ok bool) {
	m := literalEnd.FindSubmatch(s.tail)
	if m == nil {
		return 0, false, false
	}
	size, err := strconv.ParseUint(string(m[1]), 10, 64)
	return size, len(m[2]) == 0, err == nil
}
