package pop3

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// FuzzServer checks that a session ends, and that all output consists of replies and
// lists. If TLS is required, no client logs in or is asked for a password without
// it.
func FuzzServer(f *testing.F) {
	for _, text := range fakeconn.Seeds(f, "../testdata", "pop3", "C") {
		f.Add(text, false, false)
		f.Add(text, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, starttls, required bool) {
		c, conn := fakeconn.New(text)
		if starttls {
			conn.OfferTLS(new(tls.Config), required)
		}
		needed := conn.NeedsTLS()
		s := NewServer(conn, sasl.OwnTokens, func() []string { return []string{"TOP", "UIDL", "STLS"} })
		s.Greet()
		for {
			credentials, err := s.ReadLogin()
			if err != nil {
				s.Bye("SYS/PERM", err.Error())
				break
			}
			if needed {
				t.Errorf("without TLS: %+v", credentials)
			}
			s.Refuse("AUTH", "no")
		}
		lines := c.OutputLines()
		if len(lines) > 10*wire.MaxLines {
			t.Errorf("%d lines", len(lines))
		}
		listed := false
		for _, line := range lines {
			r, ok := parseReply(line)
			if strings.ContainsAny(line, "\r\n") || (!ok && !listed) || (needed && r.status == statusContinue) {
				t.Errorf("sent %q", line)
			}
			listed = line != "." && (listed || strings.HasPrefix(line, "+OK capability list") || line == "+OK mechanisms")
		}
	})
}

// FuzzClient checks that the login ends whatever the upstream sends, and that the
// welcome is one +OK reply.
func FuzzClient(f *testing.F) {
	for _, text := range fakeconn.Seeds(f, "../testdata", "pop3", "U") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, mechanism := range []string{sasl.XOAUTH2, sasl.PLAIN, sasl.LOGIN} {
			logIn(t, text, mechanism)
		}
	})
}

// logIn logs in with mechanism to an upstream that sends text.
func logIn(t *testing.T, text, mechanism string) {
	conn := fakeconn.NewByLine(text)
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
	c, conn := fakeconn.New("")
	NewServer(conn, sasl.Passwords, k.Extensions).Accept(welcome)
	conn.Flush()
	sent, ended := strings.CutSuffix(c.Output(), "\r\n")
	if r, ok := parseReply(sent); !ok || r.status != statusOK || !ended || strings.ContainsAny(sent, "\r\n") {
		t.Errorf("%q was sent as %q", welcome, sent)
	}
	k.Open()
	k.Quit()
}
