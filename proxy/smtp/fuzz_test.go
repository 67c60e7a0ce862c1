package smtp

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/tape"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// FuzzServer: whatever a client says, the session ends, what it is told are
// replies, and what it calls itself is a name. Where TLS is required, nobody logs
// in without, or is asked for a password.
func FuzzServer(f *testing.F) {
	for _, said := range tape.Seeds(f, "../testdata", "smtp", "C") {
		f.Add(said, false, false)
		f.Add(said, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, starttls, required bool) {
		c, conn := tape.Play(text)
		if starttls {
			conn.OfferTLS(new(tls.Config), required)
		}
		needed := conn.NeedsTLS()
		s := NewServer(conn, sasl.OwnTokens, func(hello string, _ bool) []string {
			if strings.ContainsAny(hello, "\x00\r\n\t ") || hello == "" || len(hello) > 255 {
				t.Errorf("announced as %q", hello)
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
				t.Errorf("in the clear: %+v", credentials)
			}
			s.Refuse("454 4.0.0", "no")
		}
		lines := c.Lines()
		if len(lines) > 5*wire.MaxLines {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if _, _, _, ok := parseReply(line); strings.ContainsAny(line, "\r\n") || (!ok && (needed || !strings.HasPrefix(line, "334"))) {
				t.Errorf("said %q", line)
			}
		}
	})
}

// FuzzClient: whatever an upstream says, the login ends, and the reply that the
// client at the other end would be told is one.
func FuzzClient(f *testing.F) {
	for _, said := range tape.Seeds(f, "../testdata", "smtp", "U") {
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
	c, conn := tape.Play("")
	NewServer(conn, sasl.Passwords, nil).Accept(welcome)
	conn.Flush()
	lines := strings.SplitAfter(c.Told(), "\r\n")
	if len(lines) != len(welcome)+1 || slices.ContainsFunc(lines, func(l string) bool { return strings.Count(l, "\r")+strings.Count(l, "\n") > 2 }) {
		t.Errorf("%q was said as %q", welcome, lines)
	}
	for i, line := range welcome {
		if code, _, more, ok := parseReply(line); code != 235 || more != (i < len(welcome)-1) || !ok {
			t.Errorf("%q is no reply", welcome)
		}
	}
}

// FuzzHelloName: what is announced is a domain or an address literal.
func FuzzHelloName(f *testing.F) {
	for _, name := range []string{"scanner", "[IPv6:::1]", "[127.0.0.1]", "a.b-c.d", "-a", "x y", "[::1]"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := helloName(name); got != name && got != "[127.0.0.1]" || helloName(got) != got {
			t.Errorf("%q is announced as %q", name, got)
		}
	})
}
