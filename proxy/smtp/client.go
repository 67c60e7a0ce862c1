package smtp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// maxInitialResponse is the maximum length in octets of an AUTH command, including
// CRLF. A longer command must not carry the initial response (RFC 4954 section 4),
// and some servers refuse it: "555 5.5.2 Syntax error, command line too long".
const maxInitialResponse = 512

// A Client is the client side of a dialogue with an upstream. It is not safe for
// concurrent use.
type Client struct {
	c          *wire.Conn
	helloName  string
	extensions []string // known extensions of the last EHLO reply
}

// NewClient reads the greeting and sends EHLO with helloName. If config is not nil,
// it begins TLS by STARTTLS and sends EHLO again; otherwise the connection must be
// inside TLS already. The error is a *Refusal if the upstream refused.
func NewClient(c *wire.Conn, config *tls.Config, helloName string) (*Client, error) {
	k := &Client{c: c, helloName: helloName}
	if _, err := k.expect("greeting", 220); err != nil {
		return nil, err
	}
	if err := k.sendEHLO(); err != nil || config == nil {
		return k, err
	}
	c.Printf("STARTTLS")
	if _, err := k.expect("STARTTLS", 220); err != nil {
		return nil, err
	}
	if err := c.StartTLS(config); err != nil {
		return nil, fmt.Errorf("STARTTLS: %w", err)
	}
	return k, k.sendEHLO() // discard extensions from before TLS
}

func (k *Client) sendEHLO() error {
	k.c.Printf("EHLO %s", k.helloName)
	r, err := k.expect("EHLO", 250)
	if err != nil {
		return err
	}
	k.extensions = nil
	for _, line := range r.rawLines[1:] {
		if extension, ok := extensionOf(line); ok {
			k.extensions = append(k.extensions, extension)
		}
	}
	return nil
}

// Extensions returns the known extensions of the upstream, in its order.
func (k *Client) Extensions() []string { return k.extensions }

// Open returns nil: submission has no mailbox.
func (k *Client) Open() error { return nil }

// Mechanisms returns the SASL mechanisms that the upstream offers.
func (k *Client) Mechanisms() []string {
	var mechanisms []string
	for _, line := range k.extensions {
		if keyword(line) == "AUTH" && len(line) > len("AUTH") {
			mechanisms = append(mechanisms, strings.Fields(strings.TrimPrefix(line[len("AUTH"):], "="))...)
		}
	}
	return mechanisms
}

// Authenticate logs in with mechanism. It returns the reply lines for the client.
// The error is a *Refusal if the upstream refused.
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
	if err := k.readPending(); err != nil {
		return nil, fmt.Errorf("AUTH: %w", err)
	}
	command := "AUTH " + name
	sent := 0 // number of responses
	initial := command + " " + sasl.Encode(ir)
	if ir != nil && len(initial)+len("\r\n") <= maxInitialResponse {
		k.c.PrintSecret(initial, command+" (response)")
		ir = nil
		sent++
	} else {
		k.c.Printf("%s", command)
	}
	for {
		r, err := k.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("AUTH: %w", err)
		case r.code == 235 && sent < sasl.MinResponses(name):
			return nil, fmt.Errorf("AUTH: %w", sasl.ErrTooEarly)
		case r.code == 235:
			return formatReply(r.code, r.lines), nil
		case r.code != 334:
			return nil, fmt.Errorf("AUTH: %w", replyError(r.code, r.lines))
		case ir != nil:
			k.respond(ir)
			ir = nil
			sent++
			continue
		}
		challenge, err := sasl.Decode(r.rawLines[0])
		if err != nil {
			return nil, fmt.Errorf("AUTH: challenge: %w", err)
		}
		response, err := mechanism.Next(challenge)
		if err != nil {
			return nil, fmt.Errorf("AUTH: %w", err)
		}
		k.respond(response)
		sent++
	}
}

// readPending returns an error if the upstream has already sent something without a
// command. That may be a 421 reply with the reason why it closes the connection.
func (k *Client) readPending() error {
	if !k.c.HasUnread() {
		return nil
	}
	r, err := k.read()
	switch {
	case err != nil:
		return err
	case r.code == 421:
		return replyError(r.code, r.lines)
	}
	return sasl.ErrUnsolicited
}

// respond sends a response to a challenge, without tracing it.
func (k *Client) respond(response []byte) {
	k.c.PrintSecret(sasl.Encode(response), "(response)")
}

// Quit sends QUIT and does not wait for the reply.
func (k *Client) Quit() {
	k.c.Printf("QUIT")
	k.c.Flush()
}
