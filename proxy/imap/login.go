package imap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
	gosasl "github.com/emersion/go-sasl"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// maxInitial is how long a command with an initial response may be. A server
// need not take more than 8192 octets in a line (RFC 7162 section 4).
const maxInitial = 8 << 10

// Authenticate logs in, by the command LOGIN where the upstream has no mechanism
// of that name. It returns what the client at the other end is to be told: the
// untagged responses that came with it, then the tagged one, without its tag but
// with the capabilities. The error is an *imap.Error if the upstream refused.
func (k *Client) Authenticate(mechanism gosasl.Client) (welcome []string, err error) {
	if !k.c.Secure() {
		return nil, errors.New("AUTHENTICATE: not inside TLS")
	}
	name, ir, err := mechanism.Start()
	if err != nil {
		return nil, fmt.Errorf("AUTHENTICATE: %w", err)
	}
	return k.authenticate(name, ir, mechanism)
}

func (k *Client) authenticate(name string, ir []byte, mechanism gosasl.Client) (welcome []string, err error) {
	if err := k.unasked(); err != nil {
		return nil, fmt.Errorf("AUTHENTICATE: %w", err)
	}
	if name == sasl.LOGIN && !k.set().Has(imap.AuthCap(name)) {
		return k.login(mechanism)
	}
	command := "AUTHENTICATE " + name
	tag := k.tag()
	sent := 0 // responses
	initial := tag + " " + command + " " + sasl.Encode(ir)
	if ir != nil && k.set().Has(imap.CapSASLIR) && len(initial)+len("\r\n") <= maxInitial {
		k.c.PrintSecret(initial, tag+" "+command+" (response)")
		ir = nil
		sent++
	} else {
		k.c.Printf("%s %s", tag, command)
	}
	answer := func(challenge string) error {
		response, err := ir, error(nil)
		if ir = nil; response == nil {
			if response, err = next(mechanism, challenge); err != nil {
				return err
			}
		}
		k.answer(response)
		sent++
		return nil
	}
	return k.enter("AUTHENTICATE", tag, answer, func() bool { return sent >= sasl.Responses(name) })
}

// next returns the response of a mechanism to a challenge as the upstream sent it.
func next(mechanism gosasl.Client, challenge string) (response []byte, err error) {
	c, err := sasl.Decode(challenge)
	if err != nil {
		return nil, fmt.Errorf("challenge: %w", err)
	}
	return mechanism.Next(c)
}

// unasked reads what the upstream has sent already, which must be untagged: a
// response to a command that it does not have yet does not come from that.
func (k *Client) unasked() error {
	for k.c.HasUnread() {
		r, err := k.read("")
		switch {
		case err != nil:
			return err
		case r.status != nil && r.status.Type == imap.StatusResponseTypeBye:
			return (*imap.Error)(r.status)
		case r.tag != "*":
			return sasl.ErrUnasked
		}
	}
	return nil
}

// answer answers a challenge. The response may be a password.
func (k *Client) answer(response []byte) {
	k.c.PrintSecret(sasl.Encode(response), "(response)")
}

// login logs in by the command LOGIN (RFC 9051 section 6.2.3), with what the
// mechanism LOGIN answers when it is asked for the name and for the password.
func (k *Client) login(mechanism gosasl.Client) (welcome []string, err error) {
	tag := k.tag()
	lines := []string{tag + " LOGIN"} // the command, which goes on in a new line after a literal
	for range 2 {
		text, err := mechanism.Next(nil)
		if err != nil {
			return nil, fmt.Errorf("LOGIN: %w", err)
		}
		last := len(lines) - 1
		if quoted, ok := quote(string(text)); ok {
			lines[last] += " " + quoted
		} else {
			lines[last] += fmt.Sprintf(" {%d}", len(text))
			lines = append(lines, string(text))
		}
	}
	k.c.PrintSecret(lines[0], tag+" LOGIN (user name and password)")
	return k.enter("LOGIN", tag, func(string) error {
		if lines = lines[1:]; len(lines) == 0 {
			return errors.New("unexpected continuation")
		}
		k.c.PrintSecret(lines[0], "(literal and what follows)")
		return nil
	}, func() bool { return len(lines) == 1 })
}

// quote returns text as a quoted string, or false if it takes a literal: servers
// need not take other octets than those of ASCII in quotes.
func quote(text string) (string, bool) {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return "", false
		}
	}
	return `"` + escaped.Replace(text) + `"`, true
}

var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// enter reads until the response with tag, by which verb logs in. Challenges are
// for answer; sent reports whether the upstream has all credentials. What enter
// returns is as Authenticate says.
func (k *Client) enter(verb, tag string, answer func(challenge string) error, sent func() bool) (welcome []string, err error) {
	k.caps = nil // they may be others after login
	ok, err := k.finish(tag, answer)
	if err == nil && !sent() {
		err = sasl.ErrTooEarly
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	welcome = k.untagged
	// A client reads the capabilities in the tagged response, or asks for them;
	// it asks in vain what the upstream has if it knows ours from before.
	if k.caps == nil {
		if err := k.capability(); err != nil {
			return nil, err
		}
		welcome = append(welcome, k.untagged...) // there may be an alert
	}
	return append(welcome, k.withCapabilities(ok)...), nil
}

// withCapabilities returns the tagged OK without its tag, with the capabilities
// in it or, where another code stands in their place, before it.
func (k *Client) withCapabilities(ok *imap.StatusResponse) []string {
	code := "CAPABILITY " + strings.Join(k.caps, " ")
	if name, _, _ := strings.Cut(string(ok.Code), " "); name == "" || strings.EqualFold(name, "CAPABILITY") {
		return []string{"OK [" + code + "] " + ok.Text}
	}
	return []string{"* " + code, "OK [" + string(ok.Code) + "] " + ok.Text}
}
