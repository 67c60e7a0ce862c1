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

// A Client is the client's end of a dialogue with an upstream.
type Client struct {
	c    *wire.Conn
	caps []string // the known ones of the last list that the upstream sent; nil if none came
	tags int

	untagged []string // what came before the last tagged response
}

// NewClient reads the greeting. With a config it then begins TLS by STARTTLS;
// without, the connection must be inside TLS already.
func NewClient(c *wire.Conn, config *tls.Config) (*Client, error) {
	k := &Client{c: c}
	if err := k.greeting(); err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if config != nil {
		if _, err := k.run("STARTTLS"); err != nil {
			return nil, err
		}
		if err := c.StartTLS(config); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
		k.caps = nil // what was said in the clear does not count
	}
	return k, k.capability()
}

// greeting reads the first line. PREAUTH is refused: the upstream would take
// this connection for somebody's who has not logged in by us, and it is how an
// attacker keeps a client from STARTTLS.
func (k *Client) greeting() error {
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

// capability asks for the capabilities, unless they are known.
func (k *Client) capability() error {
	if k.caps != nil {
		return nil
	}
	if _, err := k.run("CAPABILITY"); err != nil {
		return err
	}
	if k.caps == nil {
		return errors.New("CAPABILITY: no answer in it")
	}
	return nil
}

// Mechanisms are those that the upstream offers. LOGIN is one wherever there is
// the command of that name.
func (k *Client) Mechanisms() []string {
	set := k.set()
	mechanisms := set.AuthMechanisms()
	if !set.Has(imap.AuthCap(sasl.LOGIN)) && !set.Has(imap.CapLoginDisabled) {
		mechanisms = append(mechanisms, sasl.LOGIN)
	}
	slices.Sort(mechanisms)
	return mechanisms
}

// Extensions are the known capabilities of the upstream, in its order. After
// Authenticate they are those of a session that is logged in.
func (k *Client) Extensions() []string { return k.caps }

func (k *Client) set() imap.CapSet {
	set := imap.CapSet{}
	for _, c := range k.caps {
		set[imap.Cap(c)] = struct{}{}
	}
	return set
}

// Examine opens the mailbox INBOX, read-only. A server may take a login
// and only here say that it is not for this account's mail.
func (k *Client) Examine() error {
	_, err := k.run("EXAMINE INBOX")
	return err
}

// Quit ends the session as one should. Its answer is of no use.
func (k *Client) Quit() {
	k.c.Printf("%s LOGOUT", k.tag())
	k.c.Flush()
}

// run sends a command without arguments that are literals, and reads until its
// tagged response.
func (k *Client) run(command string) (*imap.StatusResponse, error) {
	tag := k.tag()
	k.c.Printf("%s %s", tag, command)
	status, err := k.finish(tag, func(string) error { return errors.New("unexpected continuation") })
	if err != nil {
		verb, _, _ := strings.Cut(command, " ")
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	return status, nil
}

// finish reads until the response with tag, which must be OK. Challenges are
// for answer; untagged responses are kept.
func (k *Client) finish(tag string, answer func(challenge string) error) (*imap.StatusResponse, error) {
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

// webAlert is what Gmail says before it refuses a login that looks unusual, by the
// response code WEBALERT, with the link at which the login is unlocked.
func (k *Client) webAlert() string {
	for _, line := range k.untagged {
		status, ok := parseStatus(strings.TrimPrefix(line, "* "))
		if code, link, found := strings.Cut(string(status.Code), " "); ok && found && strings.EqualFold(code, "WEBALERT") {
			return "; " + status.Text + " WEBALERT " + link
		}
	}
	return ""
}

// tag returns a new tag: A1, A2 and so on.
func (k *Client) tag() string {
	k.tags++
	return fmt.Sprintf("A%d", k.tags)
}
