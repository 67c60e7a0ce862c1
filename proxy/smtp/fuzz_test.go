package smtp

import (
	"bytes"
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
	files, err := filepath.Glob("../testdata/smtp-*.dialog")
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

// FuzzServer: whatever a client says, the session ends, what it is told are
// replies, and what it calls itself is a name.
func FuzzServer(f *testing.F) {
	seeds(f, "C")
	f.Fuzz(func(t *testing.T, text string) {
		c, conn := play(text)
		s := NewServer(conn, func(hello string) []string {
			if strings.ContainsAny(hello, "\x00\r\n\t ") || hello == "" || len(hello) > 255 {
				t.Errorf("announced as %q", hello)
			}
			return []string{"SIZE 1000", "STARTTLS"}
		})
		s.Greet()
		for {
			if _, err := s.ReadLogin(); err != nil {
				s.Bye("421 4.0.0", err.Error())
				break
			}
			s.Refuse("454 4.0.0", "no")
		}
		lines := strings.Split(strings.TrimSuffix(c.sent.String(), "\r\n"), "\r\n")
		if len(lines) > 5*wire.MaxLines {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if _, _, _, ok := parseReply(line); strings.ContainsAny(line, "\r\n") || (!ok && !strings.HasPrefix(line, "334")) {
				t.Errorf("said %q", line)
			}
		}
	})
}

// FuzzClient: whatever an upstream says, the login ends, and the reply that the
// client at the other end would be told is one.
func FuzzClient(f *testing.F) {
	seeds(f, "U")
	f.Fuzz(func(t *testing.T, text string) {
		for _, mechanism := range []string{sasl.XOAUTH2, sasl.PLAIN, sasl.LOGIN} {
			logIn(t, text, mechanism)
		}
	})
}

// logIn logs in by mechanism to an upstream that says text.
func logIn(t *testing.T, text, mechanism string) {
	_, conn := play(text)
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
	c, conn := play("")
	NewServer(conn, nil).Accept(welcome)
	conn.Flush()
	lines := strings.SplitAfter(c.sent.String(), "\r\n")
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
