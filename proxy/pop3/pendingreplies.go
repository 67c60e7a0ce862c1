package pop3

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// A replyKind is the form of the reply to a command.
type replyKind byte

const (
	singleLine   replyKind = iota
	multiLine              // for +OK: up to a line with a dot
	unknownLines           // for +OK: the number of lines is unknown
)

// maxPending limits the memory of pendingReplies. It stops counting for a client
// that pipelines more commands.
const maxPending = 10_000

// pendingReplies counts the replies that the upstream owes. The zero value is ready
// for use. It is safe for concurrent use, but only one goroutine at a time may call
// addCommand, and only one fromUpstream.
type pendingReplies struct {
	mu          sync.Mutex
	pending     []replyKind // in the order in which the replies arrive
	inMultiLine bool        // the upstream is within a multi-line reply
	outOfSync   bool        // the upstream sent an unexpected reply; pending is not valid
	line        []byte      // the beginning of the upstream's current line
}

// owed reports whether the upstream owes a reply. known is false after an unexpected
// reply.
func (r *pendingReplies) owed() (owed, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.outOfSync && (r.inMultiLine || len(r.pending) > 0), !r.outOfSync
}

// addCommand records a command of the client.
func (r *pendingReplies) addCommand(command string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) >= maxPending {
		r.outOfSync = true
	}
	if !r.outOfSync {
		r.pending = append(r.pending, kindOf(command))
	}
}

// kindOf returns the form of the reply to a command (RFC 1939, RFC 2449, RFC 6856).
func kindOf(command string) replyKind {
	words := strings.Fields(strings.ToUpper(command))
	if len(words) == 0 {
		return singleLine // an error
	}
	switch name := words[0]; {
	case slices.Contains([]string{"RETR", "TOP", "CAPA"}, name),
		len(words) == 1 && slices.Contains([]string{"LIST", "UIDL", "LANG"}, name):
		return multiLine
	case slices.Contains([]string{"STAT", "LIST", "UIDL", "LANG", "DELE", "NOOP", "RSET", "LAST", "UTF8", "STLS", "QUIT"}, name),
		slices.Contains(logins, name):
		return singleLine
	}
	return unknownLines
}

// fromUpstream follows the upstream's replies.
func (r *pendingReplies) fromUpstream(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 && !r.outOfSync {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		const most = len("-ERR")
		r.line = append(r.line, part[:min(len(part), most-len(r.line))]...)
		if i < 0 {
			return
		}
		r.handleLine(strings.TrimRight(string(r.line), "\r"))
		r.line = r.line[:0]
		p = p[i+1:]
	}
}

// handleLine records a line of the upstream. line is its beginning.
func (r *pendingReplies) handleLine(line string) {
	if r.inMultiLine {
		r.inMultiLine = line != "."
		return
	}
	if len(r.pending) == 0 {
		r.outOfSync = true
		return
	}
	kind, ok := r.pending[0], strings.HasPrefix(line, "+OK")
	r.pending = r.pending[1:]
	r.inMultiLine = ok && kind == multiLine
	r.outOfSync = !ok && line != "-ERR" || ok && kind == unknownLines
}
