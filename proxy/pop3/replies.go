package pop3

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// kind is a kind of reply that the upstream owes: one for each command.
type kind byte

const (
	ofOneLine   kind = iota
	ofSeveral        // up to a line with a dot, if it is +OK
	ofSomeLines      // of how many is not known, if it is +OK
)

// maxAwaited bounds the memory of replies. A client that pipelines more commands than
// that is not counted.
const maxAwaited = 10_000

// replies counts the replies that the upstream owes. The zero value is ready to use.
// One goroutine may call await while another calls fromUpstream.
type replies struct {
	mu      sync.Mutex
	awaited []kind // in the order in which they come
	lines   bool   // the upstream is within a reply of several lines
	lost    bool   // the count is wrong
	line    []byte // the beginning of the upstream's current line
}

// owed reports whether the upstream owes a reply. It is not known once the count is
// wrong.
func (r *replies) owed() (owed, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.lost && (r.lines || len(r.awaited) > 0), !r.lost
}

// await notes a command.
func (r *replies) await(command string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.awaited) >= maxAwaited {
		r.lost = true
	}
	if !r.lost {
		r.awaited = append(r.awaited, kindOf(command))
	}
}

// kindOf returns the kind of reply that a command has (RFC 1939, RFC 2449, RFC 6856).
func kindOf(command string) kind {
	words := strings.Fields(strings.ToUpper(command))
	if len(words) == 0 {
		return ofOneLine // that it is no command
	}
	switch verb := words[0]; {
	case slices.Contains([]string{"RETR", "TOP", "CAPA"}, verb),
		len(words) == 1 && slices.Contains([]string{"LIST", "UIDL", "LANG"}, verb):
		return ofSeveral
	case slices.Contains([]string{"STAT", "LIST", "UIDL", "LANG", "DELE", "NOOP", "RSET", "LAST", "UTF8", "STLS", "QUIT"}, verb),
		slices.Contains(logins, verb):
		return ofOneLine
	}
	return ofSomeLines
}

// fromUpstream follows replies.
func (r *replies) fromUpstream(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 && !r.lost {
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
		r.replied(strings.TrimRight(string(r.line), "\r"))
		r.line = r.line[:0]
		p = p[i+1:]
	}
}

// replied notes the beginning of a line of the upstream.
func (r *replies) replied(line string) {
	if r.lines {
		r.lines = line != "."
		return
	}
	if len(r.awaited) == 0 {
		r.lost = true
		return
	}
	awaited, ok := r.awaited[0], strings.HasPrefix(line, "+OK")
	r.awaited = r.awaited[1:]
	r.lines = ok && awaited == ofSeveral
	r.lost = !ok && line != "-ERR" || ok && awaited == ofSomeLines
}
