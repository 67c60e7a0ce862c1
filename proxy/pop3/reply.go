package pop3

import (
	"errors"
	"fmt"
	"strings"
)

// The statuses of a reply (RFC 1939 section 3, RFC 5034 section 4).
const (
	statusOK       = "+OK"
	statusErr      = "-ERR"
	statusContinue = "+"
)

// A reply is the first line of a server reply.
type reply struct{ status, text string }

func (r reply) String() string { return strings.TrimSuffix(r.status+" "+r.text, " ") }

// parseReply parses the first line of a server reply.
func parseReply(line string) (r reply, ok bool) {
	status, text, _ := strings.Cut(line, " ")
	r = reply{strings.ToUpper(status), text}
	return r, r.status == statusOK || r.status == statusErr || r.status == statusContinue
}

// expect reads a +OK reply. step names the exchange in errors.
func (k *Client) expect(step string) (reply, error) {
	r, err := k.read()
	if err == nil && r.status != statusOK {
		err = errors.New("unexpected challenge")
	}
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", step, err)
	}
	return r, nil
}

// read reads a +OK reply or a challenge. The error is a *Refusal for -ERR. The text
// contains no secrets, except that of a challenge.
func (k *Client) read() (reply, error) {
	line, err := k.c.ReadLine()
	if err != nil {
		return reply{}, err
	}
	r, ok := parseReply(line)
	switch {
	case r.status == statusContinue:
		k.c.TraceReceived("+ (challenge)")
		return r, nil
	case !ok:
		line = k.c.Redact(line)
		k.c.TraceReceived(line)
		return reply{}, fmt.Errorf("not POP3: %.100q", line)
	}
	r.text = k.c.Redact(r.text)
	k.c.TraceReceived(r.String())
	if r.status == statusErr {
		return reply{}, ParseRefusal(r.text)
	}
	return r, nil
}

// A Refusal is a negative reply.
type Refusal struct {
	Code string // such as SYS/TEMP (RFC 2449 section 8, RFC 3206); often empty
	Text string
}

func (r *Refusal) Error() string {
	if r.Code == "" {
		return reply{statusErr, r.Text}.String()
	}
	return reply{statusErr, "[" + r.Code + "] " + r.Text}.String()
}

// Temporary reports whether the same command may succeed later. A reply without a
// code counts as permanent.
func (r *Refusal) Temporary() bool {
	first, rest, _ := strings.Cut(strings.ToUpper(r.Code), "/")
	second, _, _ := strings.Cut(rest, "/") // further levels are possible
	switch first {
	case "IN-USE", "LOGIN-DELAY":
		return true
	case "SYS":
		return second == "TEMP"
	}
	return false
}

// ParseRefusal parses the text of a negative reply.
func ParseRefusal(text string) *Refusal {
	if strings.HasPrefix(text, "[") {
		if code, after, ok := strings.Cut(text[1:], "]"); ok {
			return &Refusal{code, strings.TrimPrefix(after, " ")}
		}
	}
	return &Refusal{Text: text}
}
