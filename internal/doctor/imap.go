package doctor

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/text"
	upstreamimap "github.com/xoauthd/xoauthd/proxy/imap"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// An imapClient uses go-imap.
type imapClient struct {
	c       *imapclient.Client
	command bool // use the command LOGIN instead of the mechanism
}

func newIMAP(conn net.Conn, starttls *tls.Config) (client, error) {
	if starttls != nil {
		c, err := imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: starttls})
		if err != nil {
			return nil, err
		}
		return &imapClient{c: c}, nil
	}
	c := imapclient.New(emptyLine{conn}, nil)
	if err := greeting(c); err != nil {
		c.Close()
		return nil, err
	}
	return &imapClient{c: c}, nil
}

// greeting waits for the greeting. If the connection ends right after it, go-imap returns
// one or the other at random, so greeting asks again.
func greeting(c *imapclient.Client) (err error) {
	for range 32 {
		var bye *imap.Error
		if err = c.WaitGreeting(); err == nil || errors.As(err, &bye) {
			break
		}
	}
	return err
}

// An emptyLine sends the empty response that XOAUTH2 requires after a refusal as an empty
// line. go-imap sends "=", which some servers report as the error. Within STARTTLS it
// cannot be replaced; the challenge of the server is reported in any case.
type emptyLine struct{ net.Conn }

func (e emptyLine) Write(p []byte) (int, error) {
	if string(p) != "=\r\n" {
		return e.Conn.Write(p)
	}
	if _, err := e.Conn.Write([]byte("\r\n")); err != nil {
		return 0, err
	}
	return len(p), nil
}

// mechanisms sends CAPABILITY each time: Caps of go-imap may wait for half a minute.
func (i *imapClient) mechanisms() ([]string, error) {
	caps, err := i.c.Capability().Wait()
	all := caps.AuthMechanisms()
	if !slices.Contains(all, sasl.LOGIN) && !caps.Has(imap.CapLoginDisabled) {
		i.command = true
		all = append(all, sasl.LOGIN)
	}
	return all, err
}

func (i *imapClient) authenticate(l login) error {
	if i.command && l.mechanism == sasl.LOGIN {
		return i.c.Login(l.user, l.secret).Wait()
	}
	return i.c.Authenticate(l)
}

func (*imapClient) place() string { return "mailbox" }

func (i *imapClient) inspect(s *step.Step) (command string, err error) {
	caps, err := i.c.Capability().Wait()
	if err != nil {
		return "CAPABILITY", err
	}
	var names []string
	for _, c := range slices.Sorted(maps.Keys(caps)) {
		names = append(names, string(c))
	}
	// go-imap has made them upper case, and a secret could not be found in base64.
	s.AddFact("capabilities", upstreamimap.KnownCapabilities(strings.Join(names, " ")))

	var mailboxes int64
	list := i.c.List("", "*", nil)
	for list.Next() != nil { // to the end: go-imap blocks otherwise
		mailboxes++
	}
	if err := list.Close(); err != nil {
		return "LIST", err
	}
	status, err := i.c.Status("INBOX", &imap.StatusOptions{NumMessages: true, NumUnseen: true}).Wait()
	if err != nil {
		return "STATUS INBOX", err
	}
	s.AddFact("mailboxes", mailboxes)
	s.Detail = text.Count(mailboxes, "mailbox")
	if status.NumMessages != nil {
		s.AddFact("messages", int64(*status.NumMessages))
		s.Detail += ", INBOX " + text.Count(int64(*status.NumMessages), "message")
	}
	if status.NumUnseen != nil {
		s.AddFact("unseen", int64(*status.NumUnseen))
		s.Detail += fmt.Sprintf(", %d unseen", *status.NumUnseen)
	}
	return i.leave(caps.Has(imap.CapNamespace), s)
}

// leave sends NAMESPACE, if the server has it, and NOOP, and logs out.
func (i *imapClient) leave(hasNamespace bool, s *step.Step) (command string, err error) {
	if hasNamespace {
		i.namespace(s)
	}
	if err := i.c.Noop().Wait(); err != nil {
		return "NOOP", err
	}
	_ = i.c.Logout().Wait() // its failure does not matter
	return "", nil
}

// namespace adds the personal namespaces to the step. The command is optional (RFC 2342).
func (i *imapClient) namespace(s *step.Step) {
	namespace, err := i.c.Namespace().Wait()
	if err != nil {
		s.AddFinding(step.Warning, "NAMESPACE: "+err.Error(), "Programs may look for folders in the wrong place.")
		return
	}
	var personal []string
	for _, n := range namespace.Personal {
		personal = append(personal, fmt.Sprintf("%q %q", n.Prefix, string(n.Delim)))
	}
	s.AddFact("namespace", personal)
}
