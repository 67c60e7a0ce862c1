// Package mailapi has what the fakes of Microsoft Graph and of the Gmail API have in
// common: access tokens, the messages received, and faults on demand.
package mailapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync"
)

// A Message is what an API has accepted.
type Message struct {
	Mailbox    string   // of the account
	Recipients []string // from the first To, Cc and Bcc field
	Raw        []byte   // as it was sent
	Delivered  []byte   // what recipients receive: without Bcc
}

// A Fault is an answer other than success to one request.
type Fault struct {
	Status        int
	Code, Message string
	RetryAfter    string // header field, or empty
	Body          string // instead of the JSON error, or empty

	Break  Break // closes the connection instead of answering
	Accept bool  // accepts the message before that
}

// Break is a time to close the connection.
type Break int

const (
	NoBreak     Break = iota // not at all
	BreakBefore              // before the body has been read
	BreakAfter               // when the body has been read
)

// A State is the memory of a fake. Its methods are safe for concurrent use.
type State struct {
	// Check returns the mailbox of a token that Allow did not name; nil knows none. It
	// must not change after the first request.
	Check func(token string) (mailbox string, ok bool)

	mu       sync.Mutex
	tokens   map[string]string // mailbox by token
	faults   []Fault
	messages []Message
	requests int
	busy     map[string]int // requests at a time by mailbox
	busiest  int
	gate     *Gate
}

// Allow makes token valid for mailbox.
func (s *State) Allow(token, mailbox string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = map[string]string{}
	}
	s.tokens[token] = mailbox
}

// Revoke makes token invalid.
func (s *State) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// Fail makes the next requests fail, one for each fault.
func (s *State) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// A Gate stops requests after their bodies have been read. Each sends to Arrived, and then
// receives from Leave.
type Gate struct {
	Arrived, Leave chan struct{}
}

// Stop makes all requests from now on stop at a new Gate.
func (s *State) Stop() *Gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = &Gate{make(chan struct{}), make(chan struct{})}
	return s.gate
}

// Resume makes requests from now on pass without a Gate.
func (s *State) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = nil
}

// Messages returns what was accepted, in the order of arrival.
func (s *State) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Requests returns the number of requests so far.
func (s *State) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Busiest returns the largest number of requests at a time for a mailbox.
func (s *State) Busiest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busiest
}

// Mailbox returns the mailbox that the token of r opens.
func (s *State) Mailbox(r *http.Request) (string, bool) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	s.requests++
	mailbox, known := s.tokens[token]
	s.mu.Unlock()
	if ok && !known && s.Check != nil {
		mailbox, known = s.Check(token)
	}
	return mailbox, ok && known
}

// Enter counts a request for mailbox, and reports whether it is within limit, 0 is none.
func (s *State) Enter(mailbox string, limit int) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == nil {
		s.busy = map[string]int{}
	}
	s.busy[mailbox]++
	s.busiest = max(s.busiest, s.busy[mailbox])
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy[mailbox]--
	}, limit == 0 || s.busy[mailbox] <= limit
}

// NextFault returns the fault for this request, if there is one.
func (s *State) NextFault() (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return Fault{}, false
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f, true
}

// Wait waits at the gate, if there is one, or until r ends.
func (s *State) Wait(r *http.Request) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case gate.Arrived <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case <-gate.Leave:
	case <-r.Context().Done():
	}
}

// Accept stores a message.
func (s *State) Accept(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

// Parse returns the message that raw is for its recipients. It errs if raw is not MIME or
// names nobody.
func Parse(mailbox string, raw []byte) (Message, error) {
	m := Message{Mailbox: mailbox, Raw: raw}
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m, fmt.Errorf("malformed MIME: %w", err)
	}
	for _, name := range []string{"To", "Cc", "Bcc"} {
		value := parsed.Header.Get(name)
		if strings.TrimSpace(value) == "" {
			continue
		}
		list, err := mail.ParseAddressList(value)
		if err != nil {
			continue // an API skips what it does not understand
		}
		for _, a := range list {
			if !slices.Contains(m.Recipients, a.Address) {
				m.Recipients = append(m.Recipients, a.Address)
			}
		}
	}
	m.Delivered = withoutBcc(raw)
	return m, nil
}

// withoutBcc returns raw without its Bcc fields.
func withoutBcc(raw []byte) []byte {
	var out []byte
	header, skipping := true, false
	for len(raw) > 0 {
		line := raw
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			line = raw[:i+1]
		}
		raw = raw[len(line):]
		folded := line[0] == ' ' || line[0] == '\t'
		if header && !folded {
			skipping = len(line) >= 4 && strings.EqualFold(string(line[:4]), "bcc:")
		}
		header = header && len(bytes.TrimRight(line, "\r\n")) > 0
		if !header || !skipping {
			out = append(out, line...)
		}
	}
	return out
}

// Lose closes the connection of w without an answer.
func Lose(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			c.Close()
		}
	}
}

// ReadBody reads the body of r, which must have a Content-Length of at most limit bytes.
// Otherwise it returns the HTTP status of the error.
func ReadBody(r *http.Request, limit int64) (body []byte, status int) {
	switch {
	case r.ContentLength < 0:
		return nil, http.StatusLengthRequired
	case r.ContentLength > limit:
		return nil, http.StatusRequestEntityTooLarge
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, http.StatusBadRequest
	}
	return body, 0
}
