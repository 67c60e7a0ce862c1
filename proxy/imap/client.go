package imap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A Client is the client side of a dialogue with an upstream. It is not safe for
// concurrent use.
type Client struct {
	c    *wire.Conn
	caps []string // known capabilities of the upstream's last list; nil if none arrived
	tags int

	untagged []string // responses before the last tagged response
}

// NewClient reads the greeting and the capabilities of the upstream. If config is
// not nil, it begins TLS by STARTTLS; otherwise the connection must be inside TLS
// already.
func NewClient(c *wire.Conn, config *tls.Config) (*Client, error) {
	k := &Client{c: c}
	if err := k.readGreeting(); err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if config != nil {
		if _, err := k.run("STARTTLS"); err != nil {
			return nil, err
		}
		if err := c.StartTLS(config); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
		k.caps = nil // discard capabilities from before TLS
	}
	return k, k.requestCapabilities()
}

// readGreeting reads the greeting. It refuses PREAUTH: the upstream would treat the
// connection as logged in as some other user, and an attacker can send it to prevent
// STARTTLS.
func (k *Client) readGreeting() error {
	r, err := k.read("")
	switch {
	case err != nil:
		return err
	case r.tag != "*" || r.status == nil:
		return fmt.Errorf("not IMAP: %.100q", r.line)
	case r.status.Type == imap.StatusResponseTypeBye:
		return (*imap.Error)(r.status)
	case r.status.Type != imap.StatusResponseTypeOK:
		return fmt.Errorf("unexpected %s", r.status.Type)
	}
	return nil
}

// requestCapabilities sends CAPABILITY unless the capabilities are known.
func (k *Client) requestCapabilities() error {
	if k.caps != nil {
		return nil
	}
	if _, err := k.run("CAPABILITY"); err != nil {
		return err
	}
	if k.caps == nil {
		return errors.New("CAPABILITY: no capabilities in the response")
	}
	return nil
}

// Mechanisms returns the SASL mechanisms that the upstream offers. It includes LOGIN
// if the upstream has the LOGIN command.
func (k *Client) Mechanisms() []string {
	set := k.capSet()
	mechanisms := set.AuthMechanisms()
	if !set.Has(imap.AuthCap(sasl.LOGIN)) && !set.Has(imap.CapLoginDisabled) {
		mechanisms = append(mechanisms, sasl.LOGIN)
	}
	slices.Sort(mechanisms)
	return mechanisms
}

// Extensions returns the known capabilities of the upstream, in its order. After
// Authenticate they are those of the authenticated session.
func (k *Client) Extensions() []string { return k.caps }

func (k *Client) capSet() imap.CapSet {
	set := imap.CapSet{}
	for _, c := range k.caps {
		set[imap.Cap(c)] = struct{}{}
	}
	return set
}

// Open opens INBOX read-only, by EXAMINE. Some servers accept a login and refuse access
// to the mailbox only here.
func (k *Client) Open() error {
	_, err := k.run("EXAMINE INBOX")
	return err
}

// Quit sends LOGOUT and does not wait for the reply.
func (k *Client) Quit() {
	k.c.Printf("%s LOGOUT", k.nextTag())
	k.c.Flush()
}

// run sends a command without literals and reads until its tagged response.
func (k *Client) run(command string) (*imap.StatusResponse, error) {
	tag := k.nextTag()
	k.c.Printf("%s %s", tag, command)
	status, err := k.readTagged(tag, func(string) error { return errors.New("unexpected continuation") })
	if err != nil {
		verb, _, _ := strings.Cut(command, " ")
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	return status, nil
}

// readTagged reads until the response with tag, which must be OK. It passes
// challenges to answer and keeps untagged responses.
func (k *Client) readTagged(tag string, answer func(challenge string) error) (*imap.StatusResponse, error) {
	k.untagged = nil
	for {
		r, err := k.read(tag)
		if err != nil {
			return nil, err
		}
		switch {
		case r.tag == "+":
			if err := answer(r.challenge); err != nil {
				return nil, err
			}
		case r.tag == "*":
			if r.status != nil && r.status.Type == imap.StatusResponseTypeBye {
				return nil, (*imap.Error)(r.status)
			}
			k.untagged = append(k.untagged, r.line)
		case r.status == nil:
			return nil, fmt.Errorf("not a response: %.100q", r.line)
		case r.status.Type != imap.StatusResponseTypeOK:
			r.status.Text += k.webAlert()
			return nil, (*imap.Error)(r.status)
		default:
			return r.status, nil
		}
	}
}

// webAlert returns the text and the link of an untagged WEBALERT response code.
// Gmail sends it before it refuses a login that looks unusual; the user can unlock
// the login at the link.
func (k *Client) webAlert() string {
	for _, line := range k.untagged {
		status, ok := parseStatus(strings.TrimPrefix(line, "* "))
		if !ok {
			continue
		}
		if code, link, found := strings.Cut(string(status.Code), " "); found && strings.EqualFold(code, "WEBALERT") {
			return "; " + status.Text + " WEBALERT " + link
		}
	}
	return ""
}

// nextTag returns a new tag: A1, A2 and so on.
func (k *Client) nextTag() string {
	k.tags++
	return fmt.Sprintf("A%d", k.tags)
}
