package doctor

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// A pop3Client is a small client of our own, on net/textproto: there is no well-kept
// library for POP3.
type pop3Client struct {
	c       *textproto.Conn
	command bool // use USER and PASS instead of the mechanism LOGIN
}

func newPOP3(conn net.Conn, starttls *tls.Config) (client, error) {
	p := &pop3Client{c: textproto.NewConn(conn)}
	if _, err := p.answer(); err != nil {
		return nil, err
	}
	if starttls == nil {
		return p, nil
	}
	if _, err := p.ask("STLS"); err != nil {
		return nil, err
	}
	if p.c.R.Buffered() > 0 {
		return nil, errors.New("server sent more than its answer to STLS")
	}
	secure := tls.Client(conn, starttls)
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	p.c = textproto.NewConn(secure)
	return p, nil
}

// answer reads the first line of a reply. It returns the text after "+OK", or the whole
// line of a challenge.
func (p *pop3Client) answer() (string, error) {
	line, err := p.c.ReadLine()
	status, text, _ := strings.Cut(line, " ")
	switch status = strings.ToUpper(status); {
	case err != nil:
		return "", err
	case status == "-ERR":
		return "", pop3dialogue.ParseRefusal(text)
	case status == "+":
		return line, nil
	case status != "+OK":
		return "", fmt.Errorf("not POP3: %.100q", line)
	}
	return text, nil
}

func (p *pop3Client) ask(line string) (string, error) {
	if err := p.c.PrintfLine("%s", line); err != nil {
		return "", err
	}
	return p.answer()
}

// list sends a command with a reply of several lines.
func (p *pop3Client) list(command string) ([]string, error) {
	if _, err := p.ask(command); err != nil {
		return nil, err
	}
	return p.c.ReadDotLines()
}

func (p *pop3Client) mechanisms() (all []string, err error) {
	caps, err := p.list("CAPA")
	for _, line := range caps {
		if words := strings.Fields(line); len(words) > 0 && strings.EqualFold(words[0], "SASL") {
			all = append(all, words[1:]...)
		}
	}
	is := func(name string) func(string) bool {
		return func(word string) bool { return strings.EqualFold(word, name) }
	}
	if slices.ContainsFunc(caps, is("USER")) && !slices.ContainsFunc(all, is(sasl.LOGIN)) {
		p.command = true
		all = append(all, sasl.LOGIN)
	}
	return all, err
}

// authenticate sends no initial response: Microsoft does not accept one.
func (p *pop3Client) authenticate(l login) error {
	if p.command && l.mechanism == sasl.LOGIN {
		if _, err := p.ask("USER " + l.user); err != nil {
			return err
		}
		_, err := p.ask("PASS " + l.secret)
		return err
	}
	name, response, err := l.Start()
	if err != nil {
		return err
	}
	answer, err := p.ask("AUTH " + name)
	for err == nil && strings.HasPrefix(answer, "+") {
		if response == nil {
			var challenge []byte
			if challenge, err = base64.StdEncoding.DecodeString(strings.TrimSpace(answer[1:])); err != nil {
				return fmt.Errorf("challenge: %w", err)
			}
			if response, err = l.Next(challenge); err != nil {
				return err
			}
		}
		answer, err = p.ask(base64.StdEncoding.EncodeToString(response))
		response = nil
	}
	return err
}

func (*pop3Client) place() string { return "mailbox" }

// inspect marks no message, so its QUIT deletes none. CAPA and UIDL are optional (RFC
// 2449; RFC 1939 section 7).
func (p *pop3Client) inspect(s *step.Step) (command string, err error) {
	caps, err := p.list("CAPA")
	if refused := (*pop3dialogue.Refusal)(nil); errors.As(err, &refused) {
		s.AddFinding(step.Warning, "CAPA: "+err.Error(), "Programs cannot find out what the server can do.")
	} else if err != nil {
		return "CAPA", err
	}
	s.AddFact("capabilities", caps)
	size, err := p.ask("STAT")
	if err != nil {
		return "STAT", err
	}
	var messages, octets int64
	if _, err := fmt.Sscan(size, &messages, &octets); err != nil {
		return "STAT", fmt.Errorf("not the size of a mailbox: %.100q", size)
	}
	s.AddFact("messages", messages)
	s.AddFact("octets", octets)
	s.Detail = text.Count(messages, "message") + ", " + text.Count(octets, "octet")
	if slices.Contains(caps, "UIDL") {
		if err := p.identifiers(s, messages); err != nil {
			return "UIDL", err
		}
	}
	_, _ = p.ask("QUIT") // its failure does not matter
	return "", nil
}

// identifiers checks the unique ids of the messages. An error is one of the connection.
func (p *pop3Client) identifiers(s *step.Step, messages int64) error {
	const remedy = "Programs that leave mail on the server may fetch some twice, or never."
	ids, err := p.list("UIDL")
	if refused := (*pop3dialogue.Refusal)(nil); errors.As(err, &refused) {
		s.AddFinding(step.Warning, "UIDL: "+err.Error(), remedy)
		return nil
	}
	if n := int64(len(ids)); err == nil && n != messages {
		s.AddFinding(step.Warning, fmt.Sprintf("UIDL lists %d messages", n), remedy)
	}
	return err
}
