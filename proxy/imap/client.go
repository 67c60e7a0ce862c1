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
	caps string // the last list of capabilities, as the upstream wrote it
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
		k.caps = "" // what was said in the clear does not count
	}
	return k, k.capability()
}

// greeting reads the first line. PREAUTH is refused: the upstream would take
// this connection for somebody's who has not logged in by us, and it is how an
// attacker keeps a client from STARTTLS.
func (k *Client) greeting() error {
	line, err := k.read()
	if err != nil {
		return err
	}
	status, ok := parseStatus(strings.TrimPrefix(line, "* "))
	switch {
	case !ok || !strings.HasPrefix(line, "* "):
		return fmt.Errorf("not IMAP: %.100q", line)
	case status.Type == imap.StatusResponseTypeBye:
		return k.refusal(status)
	case status.Type != imap.StatusResponseTypeOK:
		return fmt.Errorf("unexpected %s", status.Type)
	}
	k.learn(status)
	return nil
}

// capability asks for the capabilities, unless they are known.
func (k *Client) capability() error {
	if k.caps != "" {
		return nil
	}
	if _, err := k.run("CAPABILITY"); err != nil {
		return err
	}
	if k.caps == "" {
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

// Extensions are the capabilities of the upstream, in its order. After
// Authenticate they are those of a session that is logged in.
func (k *Client) Extensions() []string { return strings.Fields(k.caps) }

func (k *Client) set() imap.CapSet {
	set := imap.CapSet{}
	for _, c := range k.Extensions() {
		set[imap.Cap(strings.ToUpper(c))] = struct{}{}
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
		line, err := k.read()
		if err != nil {
			return nil, err
		}
		first, rest, _ := strings.Cut(line, " ")
		switch first {
		case "*":
			if status, ok := parseStatus(rest); ok {
				if status.Type == imap.StatusResponseTypeBye {
					return nil, k.refusal(status)
				}
				k.learn(status)
			}
			if !k.learnUntagged(rest) {
				line = k.c.Redact(line)
			}
			k.untagged = append(k.untagged, line)
		case "+":
			if err := answer(rest); err != nil {
				return nil, err
			}
		case tag:
			status, ok := parseStatus(rest)
			if !ok {
				return nil, fmt.Errorf("not a response: %.100q", k.c.Redact(line))
			}
			if status.Type != imap.StatusResponseTypeOK {
				return nil, k.refusal(status)
			}
			k.learn(status)
			return status, nil
		default:
			return nil, fmt.Errorf("not a response: %.100q", k.c.Redact(line))
		}
	}
}

// refusal is a status that says no as an error.
func (k *Client) refusal(status *imap.StatusResponse) error {
	status.Code = imap.ResponseCode(k.c.Redact(string(status.Code)))
	status.Text = k.c.Redact(status.Text)
	return (*imap.Error)(status)
}

// learn keeps the capabilities that a response code tells.
func (k *Client) learn(status *imap.StatusResponse) {
	k.learnUntagged(string(status.Code))
}

// learnUntagged keeps the capabilities that an untagged response tells, and
// reports whether it tells any.
func (k *Client) learnUntagged(text string) bool {
	name, list, ok := strings.Cut(text, " ")
	if !ok || !strings.EqualFold(name, "CAPABILITY") {
		return false
	}
	k.caps = strings.TrimSpace(list)
	return true
}

func (k *Client) read() (string, error) {
	line, err := k.c.ReadLine()
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(line, "+"):
		k.c.Heard("+ (challenge)") // which may repeat a secret, encoded
	default:
		k.c.Heard(line)
	}
	return line, nil
}

// tag returns a new tag: A1, A2 and so on.
func (k *Client) tag() string {
	k.tags++
	return fmt.Sprintf("A%d", k.tags)
}

// parseStatus parses a status response from its type on (RFC 9051 section 7.1).
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
