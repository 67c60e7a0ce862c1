package imap

import (
	"slices"
	"strings"
	"sync"
)

// maxAwaited bounds the memory of replies. A client that pipelines more commands than
// that is not counted.
const maxAwaited = 1000

// replies knows which tagged replies the upstream owes. The zero value is ready to
// use. One goroutine may call fromClient while another calls fromUpstream.
type replies struct {
	mu         sync.Mutex
	awaited    []string // tags of commands without their reply
	idle       string   // tag of the IDLE that the client has not ended; empty if none
	waits      bool     // the client waits for leave to send a literal, or for a refusal
	lost       bool     // the count is wrong: a reply came that was not awaited
	compressed bool     // what follows cannot be read (RFC 4978)

	client, upstream stream
}

// owed reports whether the upstream owes a reply. An IDLE is owed none until the client
// ends it. It is not known once the count is wrong, or the dialogue is compressed.
func (r *replies) owed() (owed, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost || r.compressed {
		return false, false
	}
	return r.waits || len(r.awaited) > 0, true
}

// unfinished reports whether the client is within a command that has literals, or the
// upstream within a response, as far as is known.
func (r *replies) unfinished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.lost:
		return true
	case r.compressed:
		return false
	}
	return r.client.first != nil || r.upstream.first != nil || len(r.upstream.head) > 0
}

// fromClient follows commands.
func (r *replies) fromClient(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 && !r.lost && !r.compressed {
		if r.client.first != nil { // it sends what it announced
			r.waits = false
		}
		n, over := r.client.next(p)
		p = p[n:]
		if !over {
			continue
		}
		if size, waits, ok := r.client.announces(); ok {
			r.client.goesOn(size)
			r.waits = waits
			continue
		}
		r.command(r.client.begins())
		r.client.reset()
	}
}

// command notes a command that has come to its end.
func (r *replies) command(text string) {
	tag, rest, _ := strings.Cut(text, " ")
	name, _, _ := strings.Cut(rest, " ")
	switch {
	case r.idle != "": // this is DONE, or ends the IDLE as an error
		tag, r.idle = r.idle, ""
	case tag == "":
		return
	case strings.EqualFold(name, "IDLE"):
		r.idle = tag
		return
	case strings.EqualFold(name, "COMPRESS"):
		r.compressed = true
	}
	if len(r.awaited) >= maxAwaited {
		r.lost = true
		return
	}
	r.awaited = append(r.awaited, tag)
}

// fromUpstream follows replies.
func (r *replies) fromUpstream(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(p) > 0 && !r.lost && !r.compressed {
		n, over := r.upstream.next(p)
		p = p[n:]
		if !over {
			continue
		}
		text := r.upstream.begins()
		if size, _, ok := r.upstream.announces(); ok && isData(text) {
			r.upstream.goesOn(size)
			continue
		}
		r.replied(text)
		r.upstream.reset()
	}
}

// isData reports whether a response can have literals: those with a text for people
// have none (RFC 9051 section 7.1).
func isData(text string) bool {
	name, ok := strings.CutPrefix(text, "* ")
	name, _, _ = strings.Cut(name, " ")
	return ok && !slices.Contains([]string{"OK", "NO", "BAD", "BYE", "PREAUTH"}, strings.ToUpper(name))
}

// replied notes a response that has come to its end.
func (r *replies) replied(text string) {
	tag, rest, _ := strings.Cut(text, " ")
	current, _, _ := strings.Cut(r.client.begins(), " ")
	at := slices.Index(r.awaited, tag)
	switch {
	case strings.HasPrefix(tag, "+"):
		r.waits = false
	case tag == "*": // BAD may answer a command whose tag the server does not know
		name, _, _ := strings.Cut(rest, " ")
		r.lost = strings.EqualFold(name, "BAD")
	case at >= 0:
		r.awaited = slices.Delete(r.awaited, at, at+1)
	case tag != "" && tag == r.idle:
		r.idle = ""
	case r.waits && tag == current: // the command is over, without its literal
		r.waits = false
		r.client.reset()
	default:
		r.lost = true
	}
}
