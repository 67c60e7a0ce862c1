package smtp

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Tracker follows a dialogue after the login. It counts the replies that the
// upstream still owes, and takes the credentials out of a second AUTH, so that the
// local password does not reach the upstream, which answers that the command is
// wrong. Of a message it looks for the end only. The zero value is ready to use.
// One goroutine may call FromClient and Held while another calls FromUpstream.
type Tracker struct {
	filter *wire.CommandFilter // of FromClient alone

	mu      sync.Mutex
	awaited []awaited // replies, in the order in which they come
	lost    bool      // the count is wrong: a reply came that was not awaited
	message bool      // the client sends a message, up to a line with a dot
	begun   bool      // some of it has come
	end     int       // how much of endOfMessage has come
	chunk   uint64    // octets of a BDAT that are still to come

	reply []byte // the beginning of the upstream's current line
}

// awaited is a kind of reply that the upstream owes.
type awaited byte

const (
	toCommand awaited = iota
	toDATA
	toMessage
)

// maxAwaited bounds the memory of a Tracker. A client that pipelines more commands
// than that is not counted.
const maxAwaited = 10_000

// FromClient returns p as it is to reach the upstream. p must not be empty. There
// is no error.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filter == nil {
		t.filter = &wire.CommandFilter{Decide: t.decide}
	}
	return wire.Edit(p, t.next), nil
}

// next takes octets of one kind off the beginning of p.
func (t *Tracker) next(p []byte) (n int, forward []byte) {
	switch {
	case t.lost:
		return len(p), append(t.filter.Held(), p...)
	case t.chunk > 0:
		n = int(min(t.chunk, uint64(len(p))))
		t.chunk -= uint64(n)
	case t.message:
		t.begun = true
		n = t.findEnd(p)
	default:
		n, forward, _ = t.filter.Next(p)
		return n, forward
	}
	return n, p[:n]
}

// Held returns what the Tracker holds back of a line without an end.
func (t *Tracker) Held() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filter == nil {
		return nil
	}
	return t.filter.Held()
}

// Owed reports whether the upstream owes a reply. It is not known once the count is
// wrong.
func (t *Tracker) Owed() (owed, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.lost && len(t.awaited) > 0, !t.lost
}

// Unfinished reports whether the client is within a message, as far as is known.
func (t *Tracker) Unfinished() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost || t.message || t.chunk > 0
}

// decide looks at the beginning of a command.
func (t *Tracker) decide(line []byte, enough bool) (wire.Verdict, string) {
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		end = len(line)
	}
	verb := strings.ToUpper(string(line[:end]))
	message := verb == "DATA" || verb == "BDAT"
	if !enough && (message || end == len(line) && end <= len("AUTH")) {
		return wire.Undecided, ""
	}
	await := toCommand
	switch verb {
	case "AUTH":
		t.await(toCommand)
		return wire.Replace, verb
	case "DATA":
		await = toDATA
		t.message, t.begun, t.end = true, false, len("\r\n")
	case "BDAT":
		size, _, _ := strings.Cut(strings.TrimSpace(string(line[end:])), " ")
		t.chunk, _ = strconv.ParseUint(size, 10, 64) // a size that is none has no octets
	}
	t.await(await)
	return wire.Forward, ""
}

func (t *Tracker) await(a awaited) {
	if len(t.awaited) >= maxAwaited {
		t.lost = true
	}
	if !t.lost {
		t.awaited = append(t.awaited, a)
	}
}

const endOfMessage = "\r\n.\r\n"

// findEnd returns how many octets of p belong to the message, and notes its end
// (RFC 5321 section 4.1.1.4).
func (t *Tracker) findEnd(p []byte) (n int) {
	for t.end > 0 && n < len(p) { // the end may have begun before p
		switch {
		case p[n] == endOfMessage[t.end]:
			t.end++
		case p[n] == '\r':
			t.end = 1
		default:
			t.end = 0
		}
		if n++; t.end == len(endOfMessage) {
			t.endMessage()
			return n
		}
	}
	if n == len(p) {
		return n
	}
	if i := indexEnd(p[n:]); i >= 0 {
		t.endMessage()
		return n + i + len(endOfMessage)
	}
	for t.end = min(len(endOfMessage)-1, len(p)-n); !bytes.HasSuffix(p, []byte(endOfMessage[:t.end])); {
		t.end--
	}
	return len(p)
}

// indexEnd is bytes.Index(p, endOfMessage). It looks for the dot, which is rare in
// mail: many times faster, and this reads all that is sent.
func indexEnd(p []byte) int {
	const before = len("\r\n")
	for at := before; at < len(p); at++ {
		i := bytes.IndexByte(p[at:], '.')
		if i < 0 {
			break
		}
		if at += i; bytes.HasPrefix(p[at-before:], []byte(endOfMessage)) {
			return at - before
		}
	}
	return -1
}

func (t *Tracker) endMessage() {
	t.message = false
	t.await(toMessage)
}

// FromUpstream follows replies.
func (t *Tracker) FromUpstream(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(p) > 0 && !t.lost {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		const most = len("250-")
		t.reply = append(t.reply, part[:min(len(part), most-len(t.reply))]...)
		if i < 0 {
			return
		}
		code, _, more, ok := parseReply(strings.TrimRight(string(t.reply), "\r"))
		t.reply = t.reply[:0]
		p = p[i+1:]
		switch {
		case !ok:
			t.lost = true
		case !more:
			t.replied(code)
		}
	}
}

// replied takes a reply off those that are awaited.
func (t *Tracker) replied(code int) {
	if len(t.awaited) == 0 {
		t.lost = true
		return
	}
	reply := t.awaited[0]
	t.awaited = t.awaited[1:]
	goAhead := code/100 == 3
	switch {
	case goAhead == (reply == toDATA):
	case reply == toDATA && t.message && !t.begun:
		t.message = false
	default: // what the client has sent as a message was not one, or the reverse
		t.lost = true
	}
}
