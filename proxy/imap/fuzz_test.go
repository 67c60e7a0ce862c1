package imap

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// A tape is a connection whose peer has said everything already.
type tape struct {
	net.Conn
	in   *strings.Reader
	sent bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *tape) Write(p []byte) (int, error)      { return c.sent.Write(p) }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// play returns a connection to a peer that says text.
func play(text string) (*tape, *wire.Conn) {
	c := &tape{in: strings.NewReader(text)}
	return c, wire.New(c, time.Second)
}

// seeds adds what a peer, C or U, says in each of the dialogues.
func seeds(f *testing.F, peer string) {
	files, err := filepath.Glob("../testdata/imap-*.dialog")
	if err != nil || len(files) == 0 {
		f.Fatal("no dialogues", err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(script)) {
			if text, ok := strings.CutPrefix(line, peer+"> "); ok {
				said.WriteString(strings.TrimSuffix(text, "\n") + "\r\n")
			}
		}
		f.Add(said.String())
	}
}

// serve runs a whole session with a client that says text and is never let in.
func serve(text string) (sent string, tried []sasl.Credentials) {
	c, conn := play(text)
	s := NewServer(conn, nil)
	s.Greet()
	for {
		credentials, err := s.ReadLogin()
		if err != nil {
			s.Bye("X", err.Error())
			return c.sent.String(), tried
		}
		tried = append(tried, credentials)
		s.Refuse("X", "no")
	}
}

// FuzzServer: whatever a client says, the session ends, what it is told are
// lines, and names hold nothing that could break out of one.
func FuzzServer(f *testing.F) {
	seeds(f, "C")
	f.Add("a LOGIN {3}\r\njoe {3+}\r\nxyz\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		sent, tried := serve(text)
		if n := strings.Count(sent, "\n"); n > 3*wire.MaxLines || n != strings.Count(sent, "\r\n") || n != strings.Count(sent, "\r") {
			t.Errorf("%d lines: %.200q", n, sent)
		}
		if len(sent) > len(text)+wire.MaxLines*300 {
			t.Errorf("%d octets for %d", len(sent), len(text))
		}
		for _, c := range tried {
			if strings.ContainsAny(c.User+c.Password, "\r\n") && !strings.Contains(strings.ToUpper(text), "AUTHENTICATE") {
				t.Errorf("line break in %q", c)
			}
		}
	})
}

// FuzzLiteral: whatever is said before it, the octets of a literal that is sent
// unasked are never commands.
func FuzzLiteral(f *testing.F) {
	for _, command := range []string{"a LOGIN ", "a LOGIN joe ", "a LOGIN {3}", `a LOGIN "`, "a APPEND INBOX ", "a ID (",
		"a AUTHENTICATE PLAIN ", "a NOOP ", "", "a ", "a LOGOUT ", "a LOGIN joe s3cret ", "a STARTTLS ~"} {
		f.Add(command, "", "", false)
		f.Add(command, strings.Repeat("x", 4096), "", true)
	}
	f.Fuzz(func(t *testing.T, command, before, after string, zeros bool) {
		command = strings.NewReplacer("\r", "", "\n", "").Replace(command)
		literal := before + "\r\nzz9 NOOP\r\n" + after
		head := fmt.Sprintf("{%d+}", len(literal))
		if zeros {
			head = "{000" + head[1:]
		}
		sent, _ := serve(command + head + "\r\n" + literal)
		if len(command)+len(head) < wire.MaxLine && strings.Contains(sent, "\r\nzz9 ") {
			t.Errorf("%q", sent)
		}
	})
}

// FuzzClient: whatever an upstream says, the login ends, and what the client at
// the other end would be told are as many lines as they are meant to be.
func FuzzClient(f *testing.F) {
	seeds(f, "U")
	f.Add("* OK [CAPABILITY X]\r\n+\r\n+\r\nA1 OK [CAPABILITY X] x\r\nA2 OK\r\n")
	f.Add("* OK\r\n* CAPABILITY SASL-IR\r\nA1 OK\r\nA2 OK [CAPABILITY] x\r\n* CAPABILITY X\r\nA3 OK\r\nA4 OK\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, mechanism := range []string{sasl.XOAUTH2, sasl.PLAIN, sasl.LOGIN} {
			logIn(t, text, mechanism)
		}
	})
}

// logIn logs in by mechanism to an upstream that says text.
func logIn(t *testing.T, text, mechanism string) {
	_, conn := play(text)
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
	c, conn := play("")
	s := NewServer(conn, k.Extensions())
	s.tag = "a1"
	s.Accept(welcome)
	conn.Flush()
	lines := strings.SplitAfter(c.sent.String(), "\r\n")
	if len(lines) != len(welcome)+1 || slices.ContainsFunc(lines, func(l string) bool { return strings.Count(l, "\r")+strings.Count(l, "\n") > 2 }) {
		t.Errorf("%q was said as %q", welcome, lines)
	}
	k.Examine()
	k.Quit()
}
