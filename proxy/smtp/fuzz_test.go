package smtp

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// FuzzServer checks that a session ends, that all output consists of replies, and
// that the client's name is valid. If TLS is required, no client logs in or is asked
// for a password without it.
func FuzzServer(f *testing.F) {
	for _, text := range fakeconn.Seeds(f, "../testdata", "smtp", "C") {
		f.Add(text, false, false)
		f.Add(text, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, starttls, required bool) {
		c, conn := fakeconn.New(text)
		if starttls {
			conn.OfferTLS(new(tls.Config), required)
		}
		needed := conn.NeedsTLS()
		s := NewServer(conn, sasl.OwnTokens, func(hello string, _ bool) []string {
			if strings.ContainsAny(hello, "\x00\r\n\t ") || hello == "" || len(hello) > 255 {
				t.Errorf("EHLO name %q", hello)
			}
			return []string{"SIZE 1000", "STARTTLS"}
		})
		s.Greet()
		for {
			credentials, err := s.ReadLogin()
			if err != nil {
				s.Bye("421 4.0.0", err.Error())
				break
			}
			if needed {
				t.Errorf("without TLS: %+v", credentials)
			}
			s.Refuse("454 4.0.0", "no")
		}
		lines := c.OutputLines()
		if len(lines) > 5*wire.MaxLines {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if _, _, _, ok := parseReply(line); strings.ContainsAny(line, "\r\n") || (!ok && (needed || !strings.HasPrefix(line, "334"))) {
				t.Errorf("sent %q", line)
			}
		}
	})
}

// FuzzClient checks that the login ends whatever the upstream sends, and that the
// welcome is one positive reply.
func FuzzClient(f *testing.F) {
	for _, text := range fakeconn.Seeds(f, "../testdata", "smtp", "U") {
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
	k, err := NewClient(conn, nil, "localhost")
	if err != nil {
		return
	}
	k.Mechanisms()
	m, err := sasl.NewClient(mechanism, "jörg", "t0ken", "mail.example.com", 587)
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
	NewServer(conn, sasl.Passwords, nil).Accept(welcome)
	conn.Flush()
	lines := strings.SplitAfter(c.Output(), "\r\n")
	if len(lines) != len(welcome)+1 || slices.ContainsFunc(lines, func(l string) bool { return strings.Count(l, "\r")+strings.Count(l, "\n") > 2 }) {
		t.Errorf("%q was sent as %q", welcome, lines)
	}
	for i, line := range welcome {
		if code, _, more, ok := parseReply(line); code != 235 || more != (i < len(welcome)-1) || !ok {
			t.Errorf("%q is not one reply", welcome)
		}
	}
}

// FuzzHelloName checks that helloName returns a domain or an address literal.
func FuzzHelloName(f *testing.F) {
	for _, name := range []string{"scanner", "[IPv6:::1]", "[127.0.0.1]", "a.b-c.d", "-a", "x y", "[::1]"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := helloName(name); got != name && got != "[127.0.0.1]" || helloName(got) != got {
			t.Errorf("%q became %q", name, got)
		}
	})
}
