package pop3

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
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
	files, err := filepath.Glob("../testdata/pop3-*.dialog")
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

// FuzzServer: whatever a client says, the session ends, and what it is told are
// replies, or the lines of a list.
func FuzzServer(f *testing.F) {
	seeds(f, "C")
	f.Fuzz(func(t *testing.T, text string) {
		c, conn := play(text)
		s := NewServer(conn, []string{"TOP", "UIDL", "STLS"})
		s.Greet()
		for {
			if _, err := s.ReadLogin(); err != nil {
				s.Bye("SYS/PERM", err.Error())
				break
			}
			s.Refuse("AUTH", "no")
		}
		lines := strings.Split(strings.TrimSuffix(c.sent.String(), "\r\n"), "\r\n")
		if len(lines) > 10*wire.MaxLines {
			t.Errorf("%d lines", len(lines))
		}
		listed := false
		for _, line := range lines {
			if _, ok := parseReply(line); strings.ContainsAny(line, "\r\n") || (!ok && !listed) {
				t.Errorf("said %q", line)
			}
			listed = line != "." && (listed || strings.HasPrefix(line, "+OK what can be done") || line == "+OK mechanisms")
		}
	})
}

// FuzzClient: whatever an upstream says, the login ends, and the reply that the
// client at the other end would be told is one that says yes.
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
	c, conn := play("")
	NewServer(conn, k.Extensions()).Accept(welcome)
	conn.Flush()
	said, ended := strings.CutSuffix(c.sent.String(), "\r\n")
	if r, ok := parseReply(said); !ok || r.status != accepted || !ended || strings.ContainsAny(said, "\r\n") {
		t.Errorf("%q was said as %q", welcome, said)
	}
	k.Stat()
	k.Quit()
}
