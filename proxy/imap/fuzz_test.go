package imap

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// serve runs a session with a client that sends text and whose logins are refused.
func serve(text string, starttls, required bool) (sent string, tried []sasl.Credentials) {
	c, conn := fakeconn.New(text)
	if starttls {
		conn.OfferTLS(new(tls.Config), required)
	}
	s := NewServer(conn, sasl.OwnTokens, func() []string { return nil })
	s.Greet()
	for {
		credentials, err := s.ReadLogin()
		if err != nil {
			s.Bye("X", err.Error())
			return c.Output(), tried
		}
		tried = append(tried, credentials)
		s.Refuse("X", "no")
	}
}

// FuzzServer checks that a session ends, that all replies are lines, and that
// credentials contain no line breaks. If TLS is required, no client logs in or is
// asked for a password without it.
func FuzzServer(f *testing.F) {
	for _, text := range append(fakeconn.Seeds(f, "../testdata", "imap", "C"), "a LOGIN {3}\r\njoe {3+}\r\nxyz\r\n") {
		f.Add(text, false, false)
		f.Add(text, true, true)
	}
	f.Fuzz(func(t *testing.T, text string, starttls, required bool) {
		sent, tried := serve(text, starttls, required)
		if n := strings.Count(sent, "\n"); n > 3*wire.MaxLines || n != strings.Count(sent, "\r\n") || n != strings.Count(sent, "\r") {
			t.Errorf("%d lines: %.200q", n, sent)
		}
		if len(sent) > len(text)+wire.MaxLines*300 {
			t.Errorf("%d octets for %d", len(sent), len(text))
		}
		if starttls && required && (len(tried) > 0 || strings.Contains(sent, "\r\n+ ") && !strings.Contains(strings.ToUpper(text), " ID ")) {
			t.Errorf("without TLS: %+v, %.200q", tried, sent)
		}
		for _, c := range tried {
			if strings.ContainsAny(c.User+c.Password, "\r\n") && !strings.Contains(strings.ToUpper(text), "AUTHENTICATE") {
				t.Errorf("line break in %q", c)
			}
		}
	})
}

// FuzzLiteral checks that the octets of a non-synchronizing literal are never taken
// for commands.
func FuzzLiteral(f *testing.F) {
	for _, command := range []string{"a LOGIN ", "a LOGIN joe ", "a LOGIN {3}", `a LOGIN "`, "a APPEND INBOX ", "a ID (",
		"a AUTHENTICATE PLAIN ", "a NOOP ", "", "a ", "a LOGOUT ", "a LOGIN joe s3cret ", "a STARTTLS ~"} {
		f.Add(command, "", "", false, false)
		f.Add(command, "", "", false, true)
		f.Add(command, strings.Repeat("x", 4096), "", true, false)
	}
	f.Fuzz(func(t *testing.T, command, before, after string, zeros, required bool) {
		command = strings.NewReplacer("\r", "", "\n", "").Replace(command)
		literal := before + "\r\nzz9 NOOP\r\n" + after
		head := fmt.Sprintf("{%d+}", len(literal))
		if zeros {
			head = "{000" + head[1:]
		}
		sent, _ := serve(command+head+"\r\n"+literal, required, required)
		if len(command)+len(head) < wire.MaxLine && strings.Contains(sent, "\r\nzz9 ") {
			t.Errorf("%q", sent)
		}
	})
}

// FuzzClient checks that the login ends whatever the upstream sends, and that each
// welcome response is one line.
func FuzzClient(f *testing.F) {
	for _, text := range fakeconn.Seeds(f, "../testdata", "imap", "U") {
		f.Add(text)
	}
	f.Add("* OK [CAPABILITY AUTH=XOAUTH2 SASL-IR] x\r\n* CAPABILITY X\r\nA1 NO x\r\n")
	f.Add("* OK [CAPABILITY X]\r\n+\r\n+\r\nA1 OK [CAPABILITY X] x\r\nA2 OK\r\n")
	f.Add("* OK\r\n* CAPABILITY SASL-IR\r\nA1 OK\r\nA2 OK [CAPABILITY] x\r\n* CAPABILITY X\r\nA3 OK\r\nA4 OK\r\n")
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
	m, err := sasl.NewClient(mechanism, "jörg", "t0ken", "mail.example.com", 993)
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
	if len(welcome) == 0 || !strings.HasPrefix(welcome[len(welcome)-1], "OK [") || len(k.Extensions()) == 0 {
		t.Errorf("welcome %q, extensions %q", welcome, k.Extensions())
	}
	c, conn := fakeconn.New("")
	s := NewServer(conn, sasl.Passwords, k.Extensions)
	s.tag = "a1"
	s.Accept(welcome)
	conn.Flush()
	lines := strings.SplitAfter(c.Output(), "\r\n")
	if len(lines) != len(welcome)+1 || slices.ContainsFunc(lines, func(l string) bool { return strings.Count(l, "\r")+strings.Count(l, "\n") > 2 }) {
		t.Errorf("%q was sent as %q", welcome, lines)
	}
	k.Open()
	k.Quit()
}
