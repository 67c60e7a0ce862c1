package main_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// awkward is a body that a careless relay would change.
func awkward() string {
	var octets strings.Builder
	for b := 1; b < 256; b++ {
		if b != '\r' && b != '\n' { // and 0: no server takes that
			octets.WriteByte(byte(b))
		}
	}
	return strings.Join([]string{
		".", "..", ".a dot", "..two dots", "", ". ",
		octets.String(),
		"a space at the end ", " ", "   ", "\t", "",
		"From a line that mboxes quote", ">From another",
		"=3D soft=", "--", "-- ",
		strings.Repeat("x", 998), strings.Repeat("ü", 499),
		"* BYE not at all", "t1 OK [CAPABILITY IMAP4rev1] neither", "250 2.0.0 nor this",
		"QUIT", "RSET", "{5}", "{5+}", "", "the end.",
	}, "\r\n")
}

// An ending is one way in which a message ends.
type ending struct{ name, octets string }

func endings() []ending {
	return []ending{
		{"with a line end", "\r\n"},
		{"without a line end", ""},
		{"with an empty line", "\r\n\r\n"},
		{"with a dot", "\r\n."},
		{"with a dot and a line end", "\r\n.\r\n"},
	}
}

// testMail sends with every sender, reads with every reader, and compares.
func testMail(t *testing.T, e *env) {
	d := e.authorized(t)
	want := make(map[string]string) // body by subject
	for _, sender := range senders() {
		for _, ending := range endings() {
			subject := sender.name + ", " + ending.name
			body := awkward() + ending.octets
			message := "From: " + d.user + "\r\nTo: " + d.user + "\r\nSubject: " + subject +
				"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit" +
				"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
			if r := sender.try(t, d, message); r.status != 0 {
				t.Fatalf("%s: exit status %d\n%s", subject, r.status, shorten(r.stderr))
			}
			if !strings.HasSuffix(body, "\r\n") {
				body += "\r\n" // RFC 5321 section 4.1.1.4: there is no other way to end
			}
			want[subject] = body
		}
	}
	d.delivered(t, d.user, len(want))
	for _, reader := range readers() {
		t.Run(reader.name, func(t *testing.T) {
			r := reader.try(t, d, "")
			if r.status != 0 {
				t.Fatalf("exit status %d\n%s", r.status, shorten(r.stderr))
			}
			got := bodies(t, r.stdout)
			for _, subject := range slices.Sorted(maps.Keys(want)) {
				compare(t, subject, got[subject], want[subject])
			}
			if len(got) != len(want) {
				t.Errorf("%d messages, want %d", len(got), len(want))
			}
		})
	}
}

// bodies returns the bodies of messages. Each message is a line of base64.
func bodies(t *testing.T, lines string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for line := range strings.Lines(lines) {
		message, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		must(t, err)
		head, body, _ := strings.Cut(string(message), "\r\n\r\n")
		_, subject, _ := strings.Cut(head, "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		all[subject] = body
	}
	return all
}

// compare reports the first difference between got and want.
func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	near := func(s string) string { return s[max(0, min(i, len(s))-20):min(i+20, len(s))] }
	t.Errorf("%s: %d octets, want %d; at octet %d: %q, want %q", what, len(got), len(want), i, near(got), near(want))
}

// large returns a body of at most size octets without repeated parts.
func large(octets int) []byte {
	const line = 57 // as 76 characters
	random := rand.NewChaCha8([32]byte{})
	var b bytes.Buffer
	b.Grow(octets)
	for b.Len()+78 <= octets {
		var raw [line]byte
		random.Read(raw[:])
		b.WriteString(base64.StdEncoding.EncodeToString(raw[:]))
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

const largeSize = 50 << 20

func testLargeMessage(t *testing.T, e *env) {
	d := e.authorized(t)
	body := large(largeSize)
	d.send(t, "Subject: large\r\n\r\n"+string(body))
	d.delivered(t, d.user, 1)

	file := filepath.Join(d.dir, "large")
	d.run(t, command{}, "curl", "--silent", "--show-error", "--user", d.user+":"+d.password,
		"--url", "imap://"+address(d.imap)+"/INBOX;MAILINDEX=1", "--output", file)
	message, err := os.ReadFile(file)
	must(t, err)
	_, got, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	if sha256.Sum256(got) != sha256.Sum256(body) {
		t.Errorf("the body came back changed: %d octets, want %d", len(got), len(body))
	}
	if n := d.metric(t, sentUpstream); n < float64(len(body)) {
		t.Errorf("%v octets are counted", n)
	}
}

// sentUpstream is the metric of the bytes relayed to the submission server.
const sentUpstream = `xoauthd_relayed_bytes_total{protocol="smtp",to="upstream"}`

// testAppend uses non-synchronizing literals (RFC 7888). IMAP, unlike SMTP, carries
// messages without a final line end.
func testAppend(t *testing.T, e *env) {
	c := e.authorized(t).logInIMAP(t)
	contains(t, "capabilities", c.do("CAPABILITY"), " LITERAL+")
	c.do("SELECT INBOX")
	for i, ending := range endings() {
		message := "Subject: " + ending.name + "\r\n\r\n" + awkward() + ending.octets
		c.do("APPEND INBOX {%d+}\r\n%s", len(message), message)
		answer := c.do("FETCH %d BODY.PEEK[]", i+1)
		_, got, _ := strings.Cut(answer, fmt.Sprintf("{%d}\r\n", len(message)))
		compare(t, ending.name, got[:min(len(got), len(message))], message)
	}
}

// testPipelining sends a whole session at once.
func testPipelining(t *testing.T, e *env) {
	d := e.authorized(t)
	c := d.dialIMAP(t)
	message := "Subject: early\r\n\r\nbird\r\n"
	c.say("a CAPABILITY\r\nb LOGIN {%d+}\r\n%s %s\r\nc APPEND INBOX {%d+}\r\n%s\r\n"+
		"d SELECT INBOX\r\ne FETCH 1 BODY[TEXT]\r\nf LOGOUT\r\n",
		len(d.user), d.user, quote(d.password), len(message), message)
	for _, tag := range []string{"a", "b", "c", "d"} {
		contains(t, tag, c.until(tag+" "), tag+" OK")
	}
	contains(t, "FETCH", c.until("e "), "bird\r\n", "e OK")
	contains(t, "LOGOUT", c.until("f "), "* BYE", "f OK")
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the connection is open after LOGOUT")
	}
}

func testIdle(t *testing.T, e *env) {
	d := e.authorized(t)
	c := d.logInIMAP(t)
	contains(t, "SELECT", c.do("SELECT INBOX"), "* 0 EXISTS")
	c.say("i IDLE\r\n")
	c.until("+ ")
	d.send(t, "Subject: wake up\r\n\r\nIt is time.\r\n")
	c.until("* 1 EXISTS")
	c.say("DONE\r\n")
	contains(t, "IDLE", c.until("i "), "i OK")
	contains(t, "FETCH", c.do("FETCH 1 BODY.PEEK[]"), "wake up", "It is time.\r\n")
}

// testCompress uses COMPRESS (RFC 4978), which works because the relay does not read the
// bytes.
func testCompress(t *testing.T, e *env) {
	c := e.authorized(t).logInIMAP(t)
	contains(t, "capabilities", c.do("CAPABILITY"), " COMPRESS=DEFLATE")
	c.do("COMPRESS DEFLATE")
	deflate, err := flate.NewWriter(c.conn, flate.BestSpeed)
	must(t, err)
	c.r, c.w = bufio.NewReader(flate.NewReader(c.r)), flushed{deflate}
	contains(t, "STATUS", c.do("STATUS INBOX (MESSAGES)"), "* STATUS INBOX (MESSAGES 0)")
	message := "Subject: small\r\n\r\n" + strings.Repeat("very ", 5000) + "small\r\n"
	c.do("APPEND INBOX {%d+}\r\n%s", len(message), message)
	c.do("SELECT INBOX")
	contains(t, "FETCH", c.do("FETCH 1 BODY[]"), message)
	c.do("LOGOUT") // or the daemon would wait for replies that it cannot read
}

// flushed is a compressor that flushes after each write.
type flushed struct{ *flate.Writer }

func (f flushed) Write(b []byte) (int, error) {
	n, err := f.Writer.Write(b)
	if err != nil {
		return n, err
	}
	return n, f.Flush()
}

func testCondstore(t *testing.T, e *env) {
	d := e.authorized(t)
	d.send(t, greeting)
	d.delivered(t, d.user, 1)
	c := d.logInIMAP(t)
	contains(t, "ENABLE", c.do("ENABLE CONDSTORE QRESYNC"), "* ENABLED", "CONDSTORE", "QRESYNC")
	contains(t, "SELECT", c.do("SELECT INBOX"), "[HIGHESTMODSEQ ")
	contains(t, "STORE", c.do(`STORE 1 +FLAGS (\Seen)`), "MODSEQ (")
}
