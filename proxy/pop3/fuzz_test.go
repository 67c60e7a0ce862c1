package pop3

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/tape"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// FuzzServer: whatever a client says, the session ends, and what it is told are
// replies, or the lines of a list. Where TLS is required, nobody logs in without,
// or is asked for a password.
func FuzzServer(f *testing.F) {
	for _, said := range tape.Seeds(f, "../testdata", "pop3", "C") {
		f.Add(said, false, false)
		f.Add(said, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, starttls, required bool) {
		c, conn := tape.Play(text)
		if starttls {
			conn.OfferTLS(new(tls.Config), required)
		}
		needed := conn.NeedsTLS()
		s := NewServer(conn, sasl.OwnTokens, []string{"TOP", "UIDL", "STLS"})
		s.Greet()
		for {
			credentials, err := s.ReadLogin()
			if err != nil {
				s.Bye("SYS/PERM", err.Error())
				break
			}
			if needed {
				t.Errorf("in the clear: %+v", credentials)
			}
			s.Refuse("AUTH", "no")
		}
		lines := c.Lines()
		if len(lines) > 10*wire.MaxLines {
			t.Errorf("%d lines", len(lines))
		}
		listed := false
		for _, line := range lines {
			r, ok := parseReply(line)
			if strings.ContainsAny(line, "\r\n") || (!ok && !listed) || (needed && r.status == asked) {
				t.Errorf("said %q", line)
			}
			listed = line != "." && (listed || strings.HasPrefix(line, "+OK what can be done") || line == "+OK mechanisms")
		}
	})
}

// FuzzClient: whatever an upstream says, the login ends, and the reply that the
// client at the other end would be told is one that says yes.
func FuzzClient(f *testing.F) {
	for _, said := range tape.Seeds(f, "../testdata", "pop3", "U") {
		f.Add(said)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, mechanism := range []string{sasl.XOAUTH2, sasl.PLAIN, sasl.LOGIN} {
			logIn(t, text, mechanism)
		}
	})
}

// logIn logs in by mechanism to an upstream that says text.
func logIn(t *testing.T, text, mechanism string) {
	conn := tape.PlayLines(text)
	k, err := NewClient(conn, nil)
	if err != nil {
		return
	}
	k.Mechanisms()
	m, err := sasl.NewClient(mechanism, "jörg", "t0ken", "mail.example.com", 995)
	if err != nil {
		t.Fatal(err)
	}
	name, ir, err := m.Start()
	if err != nil {
		t.Fatal(err)
	}
	welcome, err := k.authenticate(name, ir, m)
	if err != nil {
		return
	}
	c, conn := tape.Play("")
	NewServer(conn, sasl.Passwords, k.Extensions()).Accept(welcome)
	conn.Flush()
	said, ended := strings.CutSuffix(c.Told(), "\r\n")
	if r, ok := parseReply(said); !ok || r.status != accepted || !ended || strings.ContainsAny(said, "\r\n") {
		t.Errorf("%q was said as %q", welcome, said)
	}
	k.Stat()
	k.Quit()
}
