package proxy

import (
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// where has the points of a dialogue at which a client can stop, each with the text that it
// has sent before.
var where = []struct{ name, protocol, sent string }{
	{"at the greeting", "imap", ""},
	{"in a line", "imap", "a LOG"},
	{"in a literal", "imap", "a LOGIN {4096+}\r\n"},
	{"in AUTHENTICATE", "imap", "a AUTHENTICATE PLAIN\r\n"},
	{"at the greeting", "smtp", ""},
	{"in a line", "smtp", "EHL"},
	{"in AUTH", "smtp", "HELO x\r\nAUTH LOGIN\r\n"},
	{"at the greeting", "pop3", ""},
	{"between USER and PASS", "pop3", "USER joe\r\n"},
	{"in AUTH", "pop3", "AUTH LOGIN\r\nam9l\r\n"},
}

// A client that sends a byte every five seconds has a minute until its login, as any other.
func TestDrippingClient(t *testing.T) {
	for _, place := range where {
		t.Run(place.protocol+" "+place.name, func(t *testing.T) {
			testHostile(t, place.protocol, 3*time.Minute, func(p *player) {
				go io.Copy(io.Discard, p.c.conn)
				p.c.send(place.sent)
				for range 11 {
					time.Sleep(5 * time.Second)
					p.c.send("A")
				}
			})
		})
	}
}

// A client that does not read, but sends commands, has a minute until its login.
func TestClientNeverReads(t *testing.T) {
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			testHostile(t, protocol, 3*time.Minute, func(p *player) {
				for range 100 {
					p.c.send("NOOP\r\n")
				}
			})
		})
	}
}

// testHostile checks that a session ends within most, with five more seconds for its last
// reply and five for lingering.
func testHostile(t *testing.T, protocol string, most time.Duration, do func(*player)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, protocol, slog.LevelInfo)
		p.listener.Upstreams = append(p.listener.Upstreams, &Upstream{Provider: "other"})
		start := time.Now()
		p.begin()
		defer p.end()
		do(p)
		<-p.done
		if d := time.Since(start); d > most+6*time.Second || d < most/2 {
			t.Errorf("took %v", d)
		}
		if err := p.expectResult(string(TimedOut)); err != nil {
			t.Errorf("%v\n%s", err, p.log)
		}
	})
}

// An upstream that does not answer the TLS handshake costs the client at most 30 seconds, and
// the log names the step.
func TestStallHandshake(t *testing.T) {
	for protocol, d := range until {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, protocol, slog.LevelInfo)
				defer p.end()
				p.playLines(d.implicit)
				p.u = newPeer(<-p.dials)
				p.playLines(d.refused + "\nC-\n= upstream_down TLS: ")
			})
		})
	}
}

// Plain text of an upstream after STARTTLS is not read, even if it comes after the reply was
// read.
func TestPlaintextForTLS(t *testing.T) {
	for protocol, d := range until {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, protocol, slog.LevelInfo)
				defer p.end()
				p.playLines("% starttls\n" + d.implicit + "\nU+\n" + d.starttls)
				synctest.Wait()
				go io.Copy(io.Discard, p.u.conn) // the ClientHello
				p.u.send("* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\n250 AUTH XOAUTH2\r\n+OK\r\nSASL XOAUTH2\r\n.\r\n")
				p.playLines(d.refused + "\nC-\n= upstream_down " + d.step + ": tls: first record does not look like a TLS handshake")
			})
		})
	}
}
