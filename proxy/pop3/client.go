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

// A Client is the client side of a dialogue with an upstream. It is not safe for
// concurrent use.
type Client struct {
	c    *wire.Conn
	caps []string // known capabilities of the CAPA reply
}

// NewClient reads the greeting and the capabilities of the upstream. If config is
// not nil, it begins TLS by STLS (RFC 2595) after the greeting; otherwise the
// connection must be inside TLS already. The error is a *Refusal if the upstream
// refused.
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
	return k, k.readCapabilities()
}

// readCapabilities sends CAPA (RFC 2449 section 5). A server that does not know CAPA
// has USER and PASS only.
func (k *Client) readCapabilities() error {
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

// Extensions returns the known capabilities of the upstream, in its order.
func (k *Client) Extensions() []string { return k.caps }

// Mechanisms returns the SASL mechanisms that the upstream offers. It includes LOGIN
// if the upstream has USER and PASS.
func (k *Client) Mechanisms() []string {
	mechanisms := k.saslMechanisms()
	if slices.ContainsFunc(k.caps, func(line string) bool { return keyword(line) == "USER" }) && !k.hasSASLLogin() {
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

// hasSASLLogin reports whether the upstream offers LOGIN for AUTH.
func (k *Client) hasSASLLogin() bool {
	return slices.ContainsFunc(k.saslMechanisms(), func(m string) bool { return strings.EqualFold(m, sasl.LOGIN) })
}

// Authenticate logs in with mechanism. It uses USER and PASS if mechanism is LOGIN
// and the upstream does not offer it for AUTH. It returns the reply for the client.
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

// authenticate sends the initial response only after the first challenge. Exchange
// closes the connection if the response is in the AUTH command, and a command is
// limited to 255 octets (RFC 2449 section 4), which is less than a token.
func (k *Client) authenticate(name string, ir []byte, mechanism gosasl.Client) (welcome []string, err error) {
	if err := k.readPending(); err != nil {
		return nil, fmt.Errorf("AUTH: %w", err)
	}
	if name == sasl.LOGIN && !k.hasSASLLogin() {
		return k.logInUserPass(mechanism)
	}
	k.c.Printf("AUTH %s", name)
	for sent := 0; ; sent++ { // number of responses
		r, err := k.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("AUTH: %w", err)
		case r.status == statusOK && sent < sasl.MinResponses(name):
			return nil, fmt.Errorf("AUTH: %w", sasl.ErrTooEarly)
		case r.status == statusOK:
			return []string{r.String()}, nil
		case ir != nil:
			k.respond(ir)
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
		k.respond(response)
	}
}

// readPending returns an error if the upstream has already sent something without a
// command. That may be the reason why it closes the connection.
func (k *Client) readPending() error {
	if !k.c.HasUnread() {
		return nil
	}
	if _, err := k.read(); err != nil {
		return err
	}
	return sasl.ErrUnsolicited
}

// respond sends a response to a challenge, without tracing it.
func (k *Client) respond(response []byte) {
	k.c.PrintSecret(sasl.Encode(response), "(response)")
}

// logInUserPass logs in by USER and PASS (RFC 1939 section 7). mechanism returns the
// user name and then the password.
func (k *Client) logInUserPass(mechanism gosasl.Client) (welcome []string, err error) {
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

// Open opens the mailbox, by STAT. Some servers accept a login and refuse access to the
// mailbox only here.
func (k *Client) Open() error {
	k.c.Printf("STAT")
	_, err := k.expect("STAT")
	return err
}

// Quit sends QUIT and does not wait for the reply.
func (k *Client) Quit() {
	k.c.Printf("QUIT")
	k.c.Flush()
}
