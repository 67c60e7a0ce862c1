package pop3

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Client is the client's end of a dialogue with an upstream.
type Client struct {
	c    *wire.Conn
	caps []string // the known ones of the lines that CAPA answered
}

// NewClient reads the greeting and asks for the capabilities. With a config it
// begins TLS by STLS (RFC 2595) in between; without, the connection must be
// inside TLS already. The error is a *Refusal if the upstream refused.
func NewClient(c *wire.Conn, config *tls.Config) (*Client, error) {
	k := &Client{c: c}
	if _, err := k.expect("greeting"); err != nil {
		return nil, err
	}
	if config != nil {
		c.Printf("STLS")
		if _, err := k.expect("STLS"); err != nil {
			return nil, err
		}
		if err := c.StartTLS(config); err != nil {
			return nil, fmt.Errorf("STLS: %w", err)
		}
	}
	return k, k.capa()
}

// capa asks for the capabilities (RFC 2449 section 5). A server that knows no
// such command knows no mechanism either, but USER and PASS.
func (k *Client) capa() error {
	k.c.Printf("CAPA")
	_, err := k.expect("CAPA")
	var refusal *Refusal
	if errors.As(err, &refusal) && !refusal.Temporary() {
		k.caps = []string{"USER"}
		return nil
	}
	if err != nil {
		return err
	}
	for {
		line, err := k.c.ReadLine()
		if err != nil {
			return fmt.Errorf("CAPA: %w", err)
		}
		k.c.TraceReceived(k.c.Redact(line))
		if line == "." {
			return nil
		}
		if capability, ok := capabilityOf(line); ok {
			k.caps = append(k.caps, capability)
		}
	}
}

// Extensions are the known capabilities of the upstream, in its order.
func (k *Client) Extensions() []string { return k.caps }

// Mechanisms are those that the upstream offers. LOGIN is one wherever there are
// the commands USER and PASS, which say the same.
func (k *Client) Mechanisms() []string {
	mechanisms := k.saslMechanisms()
	if slices.ContainsFunc(k.caps, func(line string) bool { return keyword(line) == "USER" }) && !k.hasLOGIN() {
		mechanisms = append(mechanisms, sasl.LOGIN)
	}
	return mechanisms
}

func (k *Client) saslMechanisms() (mechanisms []string) {
	for _, line := range k.caps {
		if keyword(line) == "SASL" {
			mechanisms = append(mechanisms, strings.Fields(line)[1:]...)
		}
	}
	return mechanisms
}

// hasLOGIN reports whether LOGIN is a mechanism of AUTH there.
func (k *Client) hasLOGIN() bool {
	return slices.ContainsFunc(k.saslMechanisms(), func(m string) bool { return strings.EqualFold(m, sasl.LOGIN) })
}

// Authenticate logs in, by USER and PASS where the upstream has no mechanism
// LOGIN. It returns the reply that the client at the other end is to be told.
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

// authenticate sends the initial response when it is asked for, and never with
// the command: Exchange hangs up then, and a command has room for 255 octets
// (RFC 2449 section 4), which is less than a token.
func (k *Client) authenticate(name string, ir []byte, mechanism gosasl.Client) (welcome []string, err error) {
	if err := k.unasked(); err != nil {
		return nil, fmt.Errorf("AUTH: %w", err)
	}
	if name == sasl.LOGIN && !k.hasLOGIN() {
		return k.logIn(mechanism)
	}
	k.c.Printf("AUTH %s", name)
	for sent := 0; ; sent++ { // responses
		r, err := k.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("AUTH: %w", err)
		case r.status == accepted && sent < sasl.Responses(name):
			return nil, fmt.Errorf("AUTH: %w", sasl.ErrTooEarly)
		case r.status == accepted:
			return []string{r.String()}, nil
		case ir != nil:
			k.answer(ir)
			ir = nil
			continue
		}
		challenge, err := sasl.Decode(r.text)
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

// unasked returns an error if the upstream has sent something already that no
// command has asked for. That may be why it closes the connection.
func (k *Client) unasked() error {
	if !k.c.HasUnread() {
		return nil
	}
	if _, err := k.read(); err != nil {
		return err
	}
	return sasl.ErrUnasked
}

// answer answers a challenge. The response may be a password.
func (k *Client) answer(response []byte) {
	k.c.PrintSecret(sasl.Encode(response), "(response)")
}

// logIn logs in by USER and PASS (RFC 1939 section 7), with what the mechanism
// LOGIN answers when it is asked for the name and for the password.
func (k *Client) logIn(mechanism gosasl.Client) (welcome []string, err error) {
	for _, verb := range []string{"USER", "PASS"} {
		text, err := mechanism.Next(nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", verb, err)
		}
		k.c.PrintSecret(verb+" "+string(text), verb+" (argument)")
		r, err := k.expect(verb)
		if err != nil {
			return nil, err
		}
		welcome = []string{r.String()}
	}
	return welcome, nil
}

// Stat opens the mailbox, of which it asks for the size. Some servers take a
// login and only here say that it is not for this account's mail.
func (k *Client) Stat() error {
	k.c.Printf("STAT")
	_, err := k.expect("STAT")
	return err
}

// Quit ends the session as one should. Its answer is of no use.
func (k *Client) Quit() {
	k.c.Printf("QUIT")
	k.c.Flush()
}
