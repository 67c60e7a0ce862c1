package smtp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"

	gosasl "github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// maxInitial is how long the AUTH command may be, its line ending included. A
// longer one must not carry the initial response (RFC 4954 section 4), and is
// refused by some servers: "555 5.5.2 Syntax error, command line too long".
const maxInitial = 512

// A Client is the client's end of a dialogue with an upstream.
type Client struct {
	c          *wire.Conn
	hello      string
	extensions []string // the lines of the last answer to EHLO, without the first
}

// NewClient reads the greeting and says EHLO as hello. With a config it begins
// TLS by STARTTLS and says EHLO again; without, the connection must be inside
// TLS already. The error is a *Refusal if the upstream refused.
func NewClient(c *wire.Conn, config *tls.Config, hello string) (*Client, error) {
	k := &Client{c: c, hello: hello}
	if _, err := k.expect("greeting", 220); err != nil {
		return nil, err
	}
	if err := k.ehlo(); err != nil || config == nil {
		return k, err
	}
	c.Printf("STARTTLS")
	if _, err := k.expect("STARTTLS", 220); err != nil {
		return nil, err
	}
	if err := c.StartTLS(config); err != nil {
		return nil, fmt.Errorf("STARTTLS: %w", err)
	}
	return k, k.ehlo() // what was said in the clear does not count
}

func (k *Client) ehlo() error {
	k.c.Printf("EHLO %s", k.hello)
	lines, err := k.expect("EHLO", 250)
	if err != nil {
		return err
	}
	k.extensions = lines[1:]
	return nil
}

// Extensions are the upstream's, in its order and words.
func (k *Client) Extensions() []string { return k.extensions }

// Mechanisms are those that the upstream offers.
func (k *Client) Mechanisms() []string {
	var mechanisms []string
	for _, line := range k.extensions {
		if keyword(line) == "AUTH" && len(line) > len("AUTH") {
			mechanisms = append(mechanisms, strings.Fields(strings.TrimPrefix(line[len("AUTH"):], "="))...)
		}
	}
	return mechanisms
}

// Authenticate logs in. It returns the reply that the client at the other end
// is to be told. The error is a *Refusal if the upstream refused.
func (k *Client) Authenticate(mechanism gosasl.Client) (welcome []string, err error) {
	if !k.c.Secure() {
		return nil, errors.New("AUTH: not inside TLS")
	}
	name, ir, err := mechanism.Start()
	if err != nil {
		return nil, fmt.Errorf("AUTH: %w", err)
	}
	return k.authenticate(name, ir, mechanism)
}

func (k *Client) authenticate(name string, ir []byte, mechanism gosasl.Client) (welcome []string, err error) {
	command := "AUTH " + name
	encoded := sasl.Encode(ir)
	k.c.Hide(encoded)
	initial := command + " " + encoded
	if ir != nil && len(initial)+len("\r\n") <= maxInitial {
		k.c.PrintSecret(initial, command+" (response)")
		ir = nil
	} else {
		k.c.Printf("%s", command)
	}
	for {
		code, lines, err := k.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("AUTH: %w", err)
		case code == 235:
			return format(code, lines), nil
		case code != 334:
			return nil, fmt.Errorf("AUTH: %w", unwanted(code, lines))
		case ir != nil:
			k.answer(ir)
			ir = nil
			continue
		}
		challenge, err := sasl.Decode(lines[0])
		if err != nil {
			return nil, fmt.Errorf("AUTH: challenge: %w", err)
		}
		response, err := mechanism.Next(challenge)
		if err != nil {
			return nil, fmt.Errorf("AUTH: %w", err)
		}
		k.answer(response)
	}
}

// answer answers a challenge. The response may be a password.
func (k *Client) answer(response []byte) {
	encoded := sasl.Encode(response)
	k.c.Hide(encoded)
	k.c.PrintSecret(encoded, "(response)")
}

// Quit ends the session as one should. Its answer is of no use.
func (k *Client) Quit() {
	k.c.Printf("QUIT")
	k.c.Flush()
}

// expect reads a reply, which must have code.
func (k *Client) expect(step string, code int) ([]string, error) {
	got, lines, err := k.read()
	if err == nil && got != code {
		err = unwanted(got, lines)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", step, err)
	}
	return lines, nil
}

// read reads a reply (RFC 5321 section 4.2): its code, and its lines without.
func (k *Client) read() (code int, lines []string, err error) {
	for {
		line, err := k.c.ReadLine()
		if err != nil {
			return 0, nil, err
		}
		c, text, more, ok := parseReply(line)
		if c == 334 {
			line = "334 (challenge)" // which may repeat a secret, encoded
		} else {
			text = k.c.Redact(text)
		}
		k.c.Heard(line)
		if !ok {
			return 0, nil, fmt.Errorf("not SMTP: %.100q", k.c.Redact(line))
		}
		if lines != nil && c != code {
			return 0, nil, fmt.Errorf("reply changes from %d to %d", code, c)
		}
		code, lines = c, append(lines, text)
		if !more {
			return code, lines, nil
		}
	}
}

// parseReply parses one line of a reply; there are more of it to come if more.
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

// unwanted is a reply other than the one that was hoped for as an error: a
// *Refusal, unless it makes no sense there.
func unwanted(code int, lines []string) error {
	if code < 400 {
		return fmt.Errorf("unexpected reply %d", code)
	}
	return refusal(code, lines)
}

// A Refusal is a reply that says no. Unlike an SMTPError it tells the enhanced
// code: the text beside it is often the same whatever the matter is.
type Refusal struct{ smtp.SMTPError }

func (r *Refusal) Error() string {
	text := strconv.Itoa(r.Code)
	if e := r.EnhancedCode; e != smtp.NoEnhancedCode {
		text += fmt.Sprintf(" %d.%d.%d", e[0], e[1], e[2])
	}
	return strings.TrimSuffix(text+" "+r.Message, " ")
}

// refusal is a reply as an error. Its message is the text of all lines, without
// the enhanced code that each of them may repeat.
func refusal(code int, lines []string) *Refusal {
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

// format writes a reply as its lines.
func format(code int, lines []string) []string {
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
