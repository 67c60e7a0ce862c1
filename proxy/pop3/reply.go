package pop3

import (
	"errors"
	"fmt"
	"strings"
)

// The status of a reply (RFC 1939 section 3, RFC 5034 section 4).
const (
	accepted = "+OK"
	refused  = "-ERR"
	asked    = "+"
)

// A reply is the first line of what a server answers.
type reply struct{ status, text string }

func (r reply) String() string { return strings.TrimSuffix(r.status+" "+r.text, " ") }

// parseReply parses the first line of what a server answers.
func parseReply(line string) (r reply, ok bool) {
	status, text, _ := strings.Cut(line, " ")
	r = reply{strings.ToUpper(status), text}
	return r, r.status == accepted || r.status == refused || r.status == asked
}

// expect reads a reply, which must say yes.
func (k *Client) expect(step string) (reply, error) {
	r, err := k.read()
	if err == nil && r.status != accepted {
		err = errors.New("unexpected challenge")
	}
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", step, err)
	}
	return r, nil
}

// read reads a reply that says yes, or asks on. The error is a *Refusal if it
// says no. But for a challenge, which may repeat a secret, the text holds none.
func (k *Client) read() (reply, error) {
	line, err := k.c.ReadLine()
	if err != nil {
		return reply{}, err
	}
	r, ok := parseReply(line)
	switch {
	case r.status == asked:
		k.c.TraceReceived("+ (challenge)")
		return r, nil
	case !ok:
		line = k.c.Redact(line)
		k.c.TraceReceived(line)
		return reply{}, fmt.Errorf("not POP3: %.100q", line)
	}
	r.text = k.c.Redact(r.text)
	k.c.TraceReceived(r.String())
	if r.status == refused {
		return reply{}, Refused(r.text)
	}
	return r, nil
}

// A Refusal is a reply that says no.
type Refusal struct {
	Code string // such as SYS/TEMP (RFC 2449 section 8, RFC 3206); often empty
	Text string
}

func (r *Refusal) Error() string {
	if r.Code == "" {
		return reply{refused, r.Text}.String()
	}
	return reply{refused, "[" + r.Code + "] " + r.Text}.String()
}

// Temporary reports whether the same may be accepted later. Who says no without
// a code means for good, as far as one can tell.
func (r *Refusal) Temporary() bool {
	first, rest, _ := strings.Cut(strings.ToUpper(r.Code), "/")
	second, _, _ := strings.Cut(rest, "/") // there may be levels below
	switch first {
	case "IN-USE", "LOGIN-DELAY":
		return true
	case "SYS":
		return second == "TEMP"
	}
	return false
}

// Refused is the text of a reply that says no as an error.
func Refused(text string) *Refusal {
	if strings.HasPrefix(text, "[") {
		if code, after, ok := strings.Cut(text[1:], "]"); ok {
			return &Refusal{code, strings.TrimPrefix(after, " ")}
		}
	}
	return &Refusal{Text: text}
}
