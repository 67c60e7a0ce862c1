package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// A response is one line of the upstream. Except for the challenge, it contains no
// secrets and no unknown capabilities, and may be logged and forwarded.
type response struct {
	line      string               // the whole line
	tag       string               // "*", "+", the tag of the command, or "" for any other line
	status    *imap.StatusResponse // nil if it is not a status response
	challenge string               // the text after "+"; may contain a secret
}

// read reads a response while the command with tag is in progress. All lines of the
// upstream before login pass through it. It keeps the capabilities that a response
// announces.
func (k *Client) read(tag string) (*response, error) {
	line, err := k.c.ReadLine()
	if err != nil {
		return nil, err
	}
	r := k.parse(line, tag)
	k.c.TraceReceived(r.line)
	return r, nil
}

func (k *Client) parse(line, tag string) *response {
	first, rest, _ := strings.Cut(line, " ")
	r := &response{tag: first}
	switch {
	case first == "+":
		r.line, r.challenge = "+ (challenge)", rest
		return r
	case first != "*" && (first != tag || tag == ""):
		return &response{line: k.c.Redact(line)}
	}
	status, ok := parseStatus(rest)
	if !ok {
		r.line = first + " " + k.redactData(rest)
		return r
	}
	r.status = status
	r.line = first + " " + string(status.Type) + " "
	if status.Code != "" {
		status.Code = imap.ResponseCode(k.redactData(string(status.Code)))
		r.line += "[" + string(status.Code) + "] "
	}
	status.Text = k.c.Redact(status.Text)
	r.line += status.Text
	return r
}

// redactData returns the data of a response or of a response code without secrets.
// It keeps a list of capabilities and returns the known ones.
func (k *Client) redactData(data string) string {
	name, list, ok := strings.Cut(data, " ")
	if !ok || !strings.EqualFold(name, "CAPABILITY") || strings.TrimSpace(list) == "" {
		return k.c.Redact(data)
	}
	k.caps = KnownCapabilities(list)
	return "CAPABILITY " + strings.Join(k.caps, " ")
}

// parseStatus parses a status response, beginning at its type (RFC 9051 section
// 7.1).
func parseStatus(text string) (*imap.StatusResponse, bool) {
	word, rest, _ := strings.Cut(text, " ")
	status := &imap.StatusResponse{Type: imap.StatusResponseType(strings.ToUpper(word)), Text: rest}
	switch status.Type {
	case imap.StatusResponseTypeOK, imap.StatusResponseTypeNo, imap.StatusResponseTypeBad,
		imap.StatusResponseTypePreAuth, imap.StatusResponseTypeBye:
	default:
		return nil, false
	}
	if strings.HasPrefix(rest, "[") {
		if code, after, ok := strings.Cut(rest[1:], "]"); ok {
			status.Code = imap.ResponseCode(code)
			status.Text = strings.TrimPrefix(after, " ")
		}
	}
	return status, true
}
