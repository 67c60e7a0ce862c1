package imap

import (
	"slices"
	"strings"
	"sync"
)

// maxPending limits the memory of pendingReplies. It stops counting for a client
// that pipelines more commands.
const maxPending = 1000

// pendingReplies tracks the tagged responses that the upstream owes. The zero value
// is ready for use. It is safe for concurrent use, but only one goroutine at a time
// may call fromClient, and only one fromUpstream.
type pendingReplies struct {
	mu          sync.Mutex
	pending     []string // tags of commands without a tagged response
	idleTag     string   // tag of an IDLE that the client has not ended; empty if none
	literalWait bool     // the client waits for a continuation request for a literal, or a refusal
	outOfSync   bool     // the upstream sent an unexpected response; pending is not valid
	compressed  bool     // the stream is compressed and cannot be read (RFC 4978)

	client, upstream splitter
}

// owed reports whether the upstream owes a response. For an IDLE it owes one only
// after the client ends the IDLE. known is false after an unexpected response and
// after compression began.
func (r *pendingReplies) owed() (owed, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outOfSync || r.compressed {
		return false, false
	}
	return r.literalWait || len(r.pending) > 0, true
}

// unfinished reports whether the client is within a command with literals, or the
// upstream within a response. It returns true after an unexpected response.
func (r *pendingReplies) unfinished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.outOfSync:
		return true
	case r.compressed:
		return false
	}
	return r.client.first != nil || r.upstream.first != nil || len(r.upstream.head) > 0
}

// fromClient follows the client's commands.
func (r *pendingReplies) fromClient(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 && !r.outOfSync && !r.compressed {
		if r.client.first != nil { // it sends the announced literal
			r.literalWait = false
		}
		n, lineEnd := r.client.next(p)
		p = p[n:]
		if !lineEnd {
			continue
		}
		if size, synchronizing, ok := r.client.announcedLiteral(); ok {
			r.client.continueAfter(size)
			r.literalWait = synchronizing
			continue
		}
		r.endCommand(r.client.start())
		r.client.reset()
	}
}

// endCommand records a complete command. text is its beginning.
func (r *pendingReplies) endCommand(text string) {
	tag, rest, _ := strings.Cut(text, " ")
	name, _, _ := strings.Cut(rest, " ")
	switch {
	case r.idleTag != "": // DONE, or another line, which ends the IDLE with an error
		tag, r.idleTag = r.idleTag, ""
	case tag == "":
		return
	case strings.EqualFold(name, "IDLE"):
		r.idleTag = tag
		return
	case strings.EqualFold(name, "COMPRESS"):
		r.compressed = true
	}
	if len(r.pending) >= maxPending {
		r.outOfSync = true
		return
	}
	r.pending = append(r.pending, tag)
}

// fromUpstream follows the upstream's responses.
func (r *pendingReplies) fromUpstream(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 && !r.outOfSync && !r.compressed {
		n, lineEnd := r.upstream.next(p)
		p = p[n:]
		if !lineEnd {
			continue
		}
		text := r.upstream.start()
		if size, _, ok := r.upstream.announcedLiteral(); ok && mayHaveLiterals(text) {
			r.upstream.continueAfter(size)
			continue
		}
		r.handleResponse(text)
		r.upstream.reset()
	}
}

// mayHaveLiterals reports whether a response may contain literals. Status responses
// contain human-readable text, and no literals (RFC 9051 section 7.1).
func mayHaveLiterals(text string) bool {
	name, ok := strings.CutPrefix(text, "* ")
	name, _, _ = strings.Cut(name, " ")
	return ok && !slices.Contains([]string{"OK", "NO", "BAD", "BYE", "PREAUTH"}, strings.ToUpper(name))
}

// handleResponse records a complete response. text is its beginning.
func (r *pendingReplies) handleResponse(text string) {
	tag, rest, _ := strings.Cut(text, " ")
	if tag == "*" {
		name, _, _ := strings.Cut(rest, " ")
		r.outOfSync = strings.EqualFold(name, "BAD") // the server could not read the tag of a command
		return
	}
	current, _, _ := strings.Cut(r.client.start(), " ")
	at := slices.Index(r.pending, tag)
	switch {
	case strings.HasPrefix(tag, "+"):
		r.literalWait = false
	case at >= 0:
		r.pending = slices.Delete(r.pending, at, at+1)
	case tag != "" && tag == r.idleTag:
		r.idleTag = ""
	case r.literalWait && tag == current: // the upstream refused the command before its literal
		r.literalWait = false
		r.client.reset()
	default:
		r.outOfSync = true
	}
}
