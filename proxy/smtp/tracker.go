package smtp

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Tracker follows a connection after login. It counts the replies that the
// upstream owes. It also removes the credentials from a second AUTH, so that the
// local password does not reach the upstream; the upstream answers that the command
// is malformed. In a message it looks for the end only. The zero value is ready for
// use. One goroutine may call FromClient and Held while another calls FromUpstream;
// Owed and Unfinished may be called concurrently.
type Tracker struct {
	// BareLF says that the client is a device and the upstream accepts what devices send: a
	// client that ends its commands with LF alone may end a message so, too, spaces may
	// precede a command, and AUTH is forwarded unchanged, as it has no password of xoauthd.
	BareLF bool

	filter *wire.CommandFilter // of the commands

	mu             sync.Mutex
	pending        []pendingReply // in the order in which the replies arrive
	outOfSync      bool           // the upstream sent an unexpected reply; pending is not valid
	lastIsData     bool           // the client's last command is DATA
	inMessage      bool           // the client sends a message after DATA
	messageStarted bool           // it has sent a part of it
	endMatched     int            // octets of endOfMessage received so far
	chunkLeft      uint64         // remaining octets of a BDAT chunk
	lf             bool           // the last command ends with LF alone, and BareLF is set
	lastOctet      byte           // of the commands

	replyLine []byte // the beginning of the upstream's current line
}

// A pendingReply is a reply that the upstream owes, by what it answers.
type pendingReply byte

const (
	commandReply pendingReply = iota
	dataReply                 // to DATA, before the message
	messageReply              // to the message, after its end
)

// maxPending limits the memory of a Tracker. It stops counting for a client that
// pipelines more commands.
const maxPending = 10_000

// FromClient returns the octets to forward for p, which must not be empty. The error
// is always nil.
func (t *Tracker) FromClient(p []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filter == nil {
		t.filter = &wire.CommandFilter{Decide: t.decide}
	}
	return wire.Edit(p, t.consume), nil
}

// consume consumes octets of one kind from the beginning of p.
func (t *Tracker) consume(p []byte) (n int, forward []byte) {
	switch {
	case t.chunkLeft > 0:
		n = int(min(t.chunkLeft, uint64(len(p))))
		t.chunkLeft -= uint64(n)
	case t.inMessage:
		t.messageStarted = true
		n = t.findMessageEnd(p)
	default:
		n, forward, _ = t.filter.Next(p)
		t.noteLineEnd(p[:n])
		return n, forward
	}
	return n, p[:n]
}

// noteLineEnd records how a command ends, of which part is received.
func (t *Tracker) noteLineEnd(part []byte) {
	for _, c := range part[max(0, len(part)-2):] {
		if c == '\n' {
			t.lf = t.BareLF && t.lastOctet != '\r'
		}
		t.lastOctet = c
	}
}

// Held returns the octets of an incomplete line that the Tracker holds back, and
// forgets them.
func (t *Tracker) Held() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filter == nil {
		return nil
	}
	return t.filter.Held()
}

// Owed reports whether the upstream owes a reply. known is false after an unexpected
// reply.
func (t *Tracker) Owed() (owed, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.outOfSync && len(t.pending) > 0, !t.outOfSync
}

// Unfinished reports whether the client is within a message. It returns true if that
// is not known.
func (t *Tracker) Unfinished() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outOfSync || t.inMessage || t.chunkLeft > 0
}

// decide is the CommandFilter.Decide of the Tracker.
func (t *Tracker) decide(line []byte, final bool) (wire.Verdict, string) {
	if t.BareLF {
		line = bytes.TrimLeft(line, " \t")
	}
	end := bytes.IndexAny(line, " \t\r")
	if end < 0 {
		end = len(line)
	}
	name := strings.ToUpper(string(line[:end]))
	message := name == "DATA" || name == "BDAT"
	if !final && (message || end == len(line) && end <= len("AUTH")) {
		return wire.Undecided, ""
	}
	kind := commandReply
	t.lastIsData = name == "DATA"
	switch {
	case name == "AUTH" && !t.BareLF:
		t.addPending(commandReply)
		return wire.Replace, name
	case name == "DATA":
		kind = dataReply
		t.inMessage, t.messageStarted, t.endMatched = true, false, len("\r\n")
	case name == "BDAT":
		size, _, _ := strings.Cut(strings.TrimSpace(string(line[end:])), " ")
		t.chunkLeft, _ = strconv.ParseUint(size, 10, 64) // an invalid size counts as 0
	}
	t.addPending(kind)
	return wire.Forward, ""
}

func (t *Tracker) addPending(r pendingReply) {
	if len(t.pending) >= maxPending {
		t.outOfSync = true
	}
	if !t.outOfSync {
		t.pending = append(t.pending, r)
	}
}

const endOfMessage = "\r\n.\r\n"

// findMessageEnd returns the number of octets of p that belong to the message, and
// records its end (RFC 5321 section 4.1.1.4).
func (t *Tracker) findMessageEnd(p []byte) (n int) {
	if t.lf {
		return t.findMessageEndLF(p)
	}
	for t.endMatched > 0 && n < len(p) { // the end may have started before p
		switch {
		case p[n] == endOfMessage[t.endMatched]:
			t.endMatched++
		case p[n] == '\r':
			t.endMatched = 1
		default:
			t.endMatched = 0
		}
		if n++; t.endMatched == len(endOfMessage) {
			t.endMessage()
			return n
		}
	}
	if n == len(p) {
		return n
	}
	if i := indexMessageEnd(p[n:]); i >= 0 {
		t.endMessage()
		return n + i + len(endOfMessage)
	}
	for t.endMatched = min(len(endOfMessage)-1, len(p)-n); !bytes.HasSuffix(p, []byte(endOfMessage[:t.endMatched])); {
		t.endMatched--
	}
	return len(p)
}

// findMessageEndLF is findMessageEnd for lines that may end with LF alone. endMatched then
// counts the octets of endOfMessage from the LF before the dot.
func (t *Tracker) findMessageEndLF(p []byte) int {
	const afterLF = len("\r\n")
	for i, c := range p {
		switch {
		case c == '\n' && t.endMatched > afterLF:
			t.endMessage()
			return i + 1
		case c == '\n':
			t.endMatched = afterLF
		case c == '.' && t.endMatched == afterLF, c == '\r' && t.endMatched == afterLF+1:
			t.endMatched++
		default:
			t.endMatched = 0
		}
	}
	return len(p)
}

// indexMessageEnd is bytes.Index(p, endOfMessage). It searches for the dot, which is
// rare in mail, and is therefore many times faster. It runs over all mail that
// clients send.
func indexMessageEnd(p []byte) int {
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
	t.inMessage = false
	t.addPending(messageReply)
}

// FromUpstream follows the replies of the upstream.
func (t *Tracker) FromUpstream(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		const most = len("250-")
		t.replyLine = append(t.replyLine, part[:min(len(part), most-len(t.replyLine))]...)
		if i < 0 {
			return
		}
		code, _, more, ok := parseReply(strings.TrimRight(string(t.replyLine), "\r"))
		t.replyLine = t.replyLine[:0]
		p = p[i+1:]
		switch {
		case !ok:
			t.outOfSync = true
		case more:
		case t.outOfSync:
			t.followUnexpected(code)
		default:
			t.removePending(code)
		}
	}
}

// followUnexpected handles replies after an unexpected one, when the Tracker cannot
// assign them to commands. It still needs the beginning of each message, in order to
// remove the credentials of a second AUTH.
func (t *Tracker) followUnexpected(code int) {
	switch goAhead := code/100 == 3; {
	case goAhead && t.lastIsData && !t.inMessage:
		t.inMessage, t.messageStarted, t.endMatched = true, false, len("\r\n")
	case !goAhead && !t.messageStarted:
		t.inMessage = false
	}
}

// removePending removes the reply with code from the pending ones.
func (t *Tracker) removePending(code int) {
	if len(t.pending) == 0 {
		t.outOfSync = true
		return
	}
	reply := t.pending[0]
	t.pending = t.pending[1:]
	goAhead := code/100 == 3
	switch {
	case goAhead == (reply == dataReply):
	case t.BareLF && code == 334 && reply == commandReply: // to AUTH; the next line is a response
	case reply == dataReply && t.inMessage && !t.messageStarted:
		t.inMessage = false
	default: // the client and the upstream disagree about what was a message
		t.outOfSync = true
	}
}
