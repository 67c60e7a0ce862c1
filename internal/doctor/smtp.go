package doctor

import (
	"crypto/tls"
	"encoding/base64"
	"net"
	"strings"

	gosasl "github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/internal/step"
)

// extensions are the reported ones, in this order: go-smtp has no list of them.
var extensions = []string{
	"SIZE", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN",
	"DELIVERBY", "FUTURERELEASE", "MT-PRIORITY", "REQUIRETLS", "LIMITS",
}

// An smtpClient uses go-smtp.
type smtpClient struct{ c *smtp.Client }

func newSMTP(conn net.Conn, starttls *tls.Config) (client, error) {
	if starttls == nil {
		c := smtp.NewClient(conn)
		return smtpClient{c}, c.Hello("localhost")
	}
	c, err := smtp.NewClientStartTLS(conn, starttls)
	if err != nil {
		return nil, err
	}
	return smtpClient{c}, c.Hello("localhost") // this starts TLS, too
}

func (c smtpClient) mechanisms() ([]string, error) {
	_, offered := c.c.Extension("AUTH")
	return strings.Fields(offered), nil
}

// authenticate returns the error of go-smtp. After a refusal, go-smtp sends "*" and waits
// for the reply.
func (c smtpClient) authenticate(l login) error { return c.c.Auth(&shortAuth{Client: l}) }

// maxCommand is the maximum length of a command line with its line ending, in bytes (RFC
// 5321 section 4.5.3.1.4).
const maxCommand = 512

// A shortAuth sends an initial response that does not fit into the command only when the
// server asks for it (RFC 4954 section 4). go-smtp does not.
type shortAuth struct {
	gosasl.Client
	kept []byte
}

func (a *shortAuth) Start() (mechanism string, ir []byte, err error) {
	mechanism, ir, err = a.Client.Start()
	if len("AUTH "+mechanism+" \r\n")+base64.StdEncoding.EncodedLen(len(ir)) > maxCommand {
		a.kept, ir = ir, nil
	}
	return mechanism, ir, err
}

func (a *shortAuth) Next(challenge []byte) ([]byte, error) {
	if ir := a.kept; ir != nil {
		a.kept = nil
		return ir, nil
	}
	return a.Client.Next(challenge)
}

func (smtpClient) place() string { return "session" }

// inspect sends no message. After RSET, go-smtp sends EHLO again: the extensions may
// differ after the login.
func (c smtpClient) inspect(s *step.Step) (command string, err error) {
	if err := c.c.Reset(); err != nil {
		return "RSET", err
	}
	if err := c.c.Noop(); err != nil {
		return "EHLO, NOOP", err
	}
	var found []string
	for _, name := range extensions {
		if ok, value := c.c.Extension(name); ok {
			found = append(found, strings.TrimSpace(name+" "+value))
		}
	}
	s.AddFact("extensions", found)
	s.Detail = strings.Join(found, ", ")
	_ = c.c.Quit() // its failure does not matter
	return "", nil
}
