package smtp

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// An upstreamReply is a reply of the upstream (RFC 5321 section 4.2).
type upstreamReply struct {
	code     int
	lines    []string // without code and without secrets
	rawLines []string // without code; may contain secrets
}

// expect reads a reply, which must have the given code. step names the exchange in
// errors.
func (k *Client) expect(step string, code int) (*upstreamReply, error) {
	r, err := k.read()
	if err == nil && r.code != code {
		err = replyError(r.code, r.lines)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	return r, nil
}

// read reads a reply. All lines of the upstream before login pass through it.
func (k *Client) read() (*upstreamReply, error) {
	r := new(upstreamReply)
	for {
		line, err := k.c.ReadLine()
		if err != nil {
			return nil, err
		}
		code, text, more, ok := parseReply(line)
		if !ok {
			line = k.c.Redact(line)
			k.c.TraceReceived(line)
			return nil, fmt.Errorf("not SMTP: %.100q", line)
		}
		shown := "(challenge)"
		if code != 334 {
			shown = k.redact(text)
		}
		k.c.TraceReceived(line[:min(len(line), 4)] + shown)
		if r.lines != nil && code != r.code {
			return nil, fmt.Errorf("reply code changes from %d to %d", r.code, code)
		}
		r.code, r.lines, r.rawLines = code, append(r.lines, shown), append(r.rawLines, text)
		if !more {
			return r, nil
		}
	}
}

// redact returns the text of a line without secrets. It excludes the enhanced code,
// which every line may repeat, so that Redact sees the text of consecutive lines
// without a gap.
func (k *Client) redact(text string) string {
	enhanced := enhancedCode.FindString(text)
	return enhanced + k.c.Redact(text[len(enhanced):])
}

// enhancedCode matches an enhanced status code at the beginning of a text (RFC 2034
// section 4).
var enhancedCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3} `)

// parseReply parses one line of a reply. more is true if more lines follow.
func parseReply(line string) (code int, text string, more, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil || code < 200 || code > 599 || (len(line) > 3 && line[3] != ' ' && line[3] != '-') {
		return 0, "", false, false
	}
	if len(line) > 4 {
		text = line[4:]
	}
	return code, text, len(line) > 3 && line[3] == '-', true
}

// replyError returns the error for a reply other than the expected one: a *Refusal
// if its code is 400 or more.
func replyError(code int, lines []string) error {
	if code < 400 {
		return fmt.Errorf("unexpected reply %d", code)
	}
	return newRefusal(code, lines)
}

// A Refusal is a negative reply. Unlike an SMTPError, its text contains the enhanced
// code: servers often send the same text for different reasons.
type Refusal struct{ smtp.SMTPError }

func (r *Refusal) Error() string {
	text := strconv.Itoa(r.Code)
	if e := r.EnhancedCode; e != smtp.NoEnhancedCode {
		text += fmt.Sprintf(" %d.%d.%d", e[0], e[1], e[2])
	}
	return strings.TrimSuffix(text+" "+r.Message, " ")
}

// newRefusal returns a reply as an error. Its message is the text of all lines,
// without the enhanced code that each line may repeat.
func newRefusal(code int, lines []string) *Refusal {
	r := &Refusal{smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode}}
	texts := make([]string, len(lines))
	for i, line := range lines {
		first, rest, _ := strings.Cut(line, " ")
		var enhanced smtp.EnhancedCode
		if n, err := fmt.Sscanf(first+" ", "%d.%d.%d ", &enhanced[0], &enhanced[1], &enhanced[2]); n == 3 && err == nil {
			r.EnhancedCode, line = enhanced, rest
		}
		texts[i] = line
	}
	r.Message = strings.Join(texts, " ")
	return r
}

// formatReply returns the lines of a reply with their code.
func formatReply(code int, lines []string) []string {
	formatted := make([]string, len(lines))
	for i, line := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		formatted[i] = strconv.Itoa(code) + separator + line
	}
	return formatted
}
