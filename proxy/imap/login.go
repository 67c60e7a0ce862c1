package imap

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
	gosasl "github.com/emersion/go-sasl"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// maxInitialResponse is the maximum length in octets of a command with an initial
// response. A server need not accept lines longer than 8192 octets (RFC 7162 section
// 4).
const maxInitialResponse = 8 << 10

// Authenticate logs in with mechanism. It uses the LOGIN command if mechanism is
// LOGIN and the upstream does not offer it for AUTHENTICATE. It returns the
// responses for the client: the untagged ones, and then the tagged OK without its
// tag and with the capabilities. The error is an *imap.Error if the upstream
// refused.
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
	if err := k.readPending(); err != nil {
		return nil, fmt.Errorf("AUTHENTICATE: %w", err)
	}
	if name == sasl.LOGIN && !k.capSet().Has(imap.AuthCap(name)) {
		return k.login(mechanism)
	}
	command := "AUTHENTICATE " + name
	tag := k.nextTag()
	sent := 0 // number of responses
	initial := tag + " " + command + " " + sasl.Encode(ir)
	if ir != nil && k.capSet().Has(imap.CapSASLIR) && len(initial)+len("\r\n") <= maxInitialResponse {
		k.c.PrintSecret(initial, tag+" "+command+" (response)")
		ir = nil
		sent++
	} else {
		k.c.Printf("%s %s", tag, command)
	}
	answer := func(challenge string) error {
		response, err := ir, error(nil)
		if ir = nil; response == nil {
			if response, err = nextResponse(mechanism, challenge); err != nil {
				return err
			}
		}
		k.respond(response)
		sent++
		return nil
	}
	return k.readLoginResult("AUTHENTICATE", tag, answer, func() bool { return sent >= sasl.MinResponses(name) })
}

// nextResponse returns the response of mechanism to a challenge in base64.
func nextResponse(mechanism gosasl.Client, challenge string) (response []byte, err error) {
	c, err := sasl.Decode(challenge)
	if err != nil {
		return nil, fmt.Errorf("challenge: %w", err)
	}
	return mechanism.Next(c)
}

// readPending reads the responses that the upstream has already sent. They must be
// untagged: a tagged response to a command that has not been sent yet must come from
// an attacker or a broken server.
func (k *Client) readPending() error {
	for k.c.HasUnread() {
		r, err := k.read("")
		switch {
		case err != nil:
			return err
		case r.status != nil && r.status.Type == imap.StatusResponseTypeBye:
			return (*imap.Error)(r.status)
		case r.tag != "*":
			return sasl.ErrUnsolicited
		}
	}
	return nil
}

// respond sends a response to a challenge, without tracing it.
func (k *Client) respond(response []byte) {
	k.c.PrintSecret(sasl.Encode(response), "(response)")
}

// login logs in by the LOGIN command (RFC 9051 section 6.2.3). mechanism returns the
// user name and then the password.
func (k *Client) login(mechanism gosasl.Client) (welcome []string, err error) {
	tag := k.nextTag()
	lines := []string{tag + " LOGIN"} // a literal ends a line; the command continues on the next
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
	return k.readLoginResult("LOGIN", tag, func(string) error {
		if lines = lines[1:]; len(lines) == 0 {
			return errors.New("unexpected continuation")
		}
		k.c.PrintSecret(lines[0], "(literal and what follows)")
		return nil
	}, func() bool { return len(lines) == 1 })
}

// quote returns text as a quoted string. ok is false if text needs a literal:
// servers need not accept octets beyond ASCII in quoted strings.
func quote(text string) (quoted string, ok bool) {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return "", false
		}
	}
	return `"` + quotedEscaper.Replace(text) + `"`, true
}

var quotedEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// readLoginResult reads until the response with tag to command, which logs in. It
// passes challenges to answer; sent reports whether the upstream has received all
// credentials. It returns the responses as Authenticate does.
func (k *Client) readLoginResult(command, tag string, answer func(challenge string) error, sent func() bool) (welcome []string, err error) {
	k.caps = nil // they may change at login
	ok, err := k.readTagged(tag, answer)
	if err == nil && !sent() {
		err = sasl.ErrTooEarly
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	welcome = k.untagged
	// Some clients do not send CAPABILITY after login, so the welcome must contain
	// the capabilities of the upstream.
	if k.caps == nil {
		if err := k.requestCapabilities(); err != nil {
			return nil, err
		}
		welcome = append(welcome, k.untagged...) // they may contain an alert
	}
	return append(welcome, k.withCapabilities(ok)...), nil
}

// withCapabilities returns the tagged OK without its tag. It puts the capabilities
// into its response code or, if that is another code, into an untagged response
// before it.
func (k *Client) withCapabilities(ok *imap.StatusResponse) []string {
	code := "CAPABILITY " + strings.Join(k.caps, " ")
	if name, _, _ := strings.Cut(string(ok.Code), " "); name == "" || strings.EqualFold(name, "CAPABILITY") {
		return []string{"OK [" + code + "] " + ok.Text}
	}
	return []string{"* " + code, "OK [" + string(ok.Code) + "] " + ok.Text}
}
