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

// maxInitial is how long the AUTH command may be, its line ending included. A
// longer one must not carry the initial response (RFC 4954 section 4), and is
// refused by some servers: "555 5.5.2 Syntax error, command line too long".
const maxInitial = 512

// A Client is the client's end of a dialogue with an upstream.
type Client struct {
	c          *wire.Conn
	hello      string
	extensions []string // the known ones of the last answer to EHLO
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
	r, err := k.expect("EHLO", 250)
	if err != nil {
		return err
	}
	k.extensions = nil
	for _, line := range r.raw[1:] {
		if extension, ok := extensionOf(line); ok {
			k.extensions = append(k.extensions, extension)
		}
	}
	return nil
}

// Extensions are the known ones of the upstream, in its order.
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
	if err := k.unasked(); err != nil {
		return nil, fmt.Errorf("AUTH: %w", err)
	}
	command := "AUTH " + name
	sent := 0 // responses
	initial := command + " " + sasl.Encode(ir)
	if ir != nil && len(initial)+len("\r\n") <= maxInitial {
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
		case r.code == 235 && sent < sasl.Responses(name):
			return nil, fmt.Errorf("AUTH: %w", sasl.ErrTooEarly)
		case r.code == 235:
			return format(r.code, r.lines), nil
		case r.code != 334:
			return nil, fmt.Errorf("AUTH: %w", unwanted(r.code, r.lines))
		case ir != nil:
			k.answer(ir)
			ir = nil
			sent++
			continue
		}
		challenge, err := sasl.Decode(r.raw[0])
		if err != nil {
			return nil, fmt.Errorf("AUTH: challenge: %w", err)
		}
		response, err := mechanism.Next(challenge)
		if err != nil {
			return nil, fmt.Errorf("AUTH: %w", err)
		}
		k.answer(response)
		sent++
	}
}

// unasked returns an error if the upstream has sent something already that no
// command has asked for. That may be why it closes the connection: 421.
func (k *Client) unasked() error {
	if !k.c.HasUnread() {
		return nil
	}
	r, err := k.read()
	switch {
	case err != nil:
		return err
	case r.code == 421:
		return unwanted(r.code, r.lines)
	}
	return sasl.ErrUnasked
}

// answer answers a challenge. The response may be a password.
func (k *Client) answer(response []byte) {
	k.c.PrintSecret(sasl.Encode(response), "(response)")
}

// Quit ends the session as one should. Its answer is of no use.
func (k *Client) Quit() {
	k.c.Printf("QUIT")
	k.c.Flush()
}
