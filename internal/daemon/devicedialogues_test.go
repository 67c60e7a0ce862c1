package daemon

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// addedFields are those that xoauthd adds to a message without them.
var addedFields = regexp.MustCompile(`(?m)^(Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}|Message-ID: <[A-Z2-7]{26}@example\.com>)\r\n`)

// TestDeviceDialogues plays what devices say to a listener without a login: over TCP, through
// the session and the gateway, to the API. testdata/devices has one dialogue for each device.
// Its lines begin with:
//
//	#         a comment, with the source of the facts
//	eol lf    the device ends its lines with LF
//	api       the error with which the API answers the next message
//	starttls  the device begins TLS of this version, on a listener with min_tls = "1.0"
//	>         a line that the device sends
//	raw       bytes that the device sends, as a Go string
//	<         the beginning of the reply, up to its last line
//	=         a line of what the API receives, without the fields that xoauthd adds
//	=raw      bytes of that, as a Go string
//
// Each dialogue ends with a message, or with a reply that says what to do.
func TestDeviceDialogues(t *testing.T) {
	scripts, err := filepath.Glob("testdata/devices/*.smtp")
	if err != nil || len(scripts) < 20 {
		t.Fatalf("%d dialogues, %v", len(scripts), err)
	}
	certificate := newIssuer(t).issue("device", time.Hour, "localhost")
	d := newSendingDaemon(t, deviceListener+deviceListener+`tls = "starttls"
min_tls = "1.0"
[[certificate]]
file = "`+certificate.File+`"
key_file = "`+certificate.KeyFile+`"
`, "")
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".smtp"), func(t *testing.T) {
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			before := len(d.api.Messages())
			want := playDevice(t, d, string(script))
			var got []string
			for _, m := range d.api.Messages()[before:] {
				raw := string(m.Raw)
				if n := len(addedFields.FindAllString(raw, -1)); n != 2 && !(n == 0 && strings.Contains(want, "Date: ")) {
					t.Errorf("Date and Message-ID: %q", raw)
				}
				got = append(got, addedFields.ReplaceAllString(raw, ""))
			}
			if joined := strings.Join(got, "\r\n"); joined != want {
				t.Errorf("delivered %q, want %q", joined, want)
			}
		})
	}
}

// A playedDevice is a device that speaks a script.
type playedDevice struct {
	t       *testing.T
	conn    net.Conn
	replies *textproto.Reader
	eol     string
}

// playDevice plays the part of the device, and returns what is to be delivered.
func playDevice(t *testing.T, d *sendingDaemon, script string) (delivered string) {
	t.Helper()
	listener := 1
	if strings.Contains(script, "\nstarttls ") {
		listener = 2
	}
	conn, err := net.Dial("tcp", d.address(listener))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	p := &playedDevice{t: t, eol: "\r\n"}
	p.use(conn)
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		kind, text, _ := strings.Cut(line, " ")
		switch kind {
		case "eol":
			p.eol = "\n"
		case "api":
			d.api.Fail(mailapi.Fault{Status: 403, Code: text, Message: "Refused."})
		case "starttls":
			p.startTLS(text)
		case ">":
			p.send(text + p.eol)
		case "raw":
			p.send(unquote(t, text))
		case "<":
			p.expect(text)
		case "=":
			delivered += text + "\r\n"
		case "=raw":
			delivered += unquote(t, text)
		case "#":
		default:
			t.Fatalf("a line of no kind: %q", line)
		}
	}
	return delivered
}

func (p *playedDevice) use(conn net.Conn) {
	p.conn, p.replies = conn, textproto.NewReader(bufio.NewReader(conn))
}

// startTLS begins TLS of one version: "1.0" or "1.2".
func (p *playedDevice) startTLS(version string) {
	p.t.Helper()
	v := map[string]uint16{"1.0": tls.VersionTLS10, "1.2": tls.VersionTLS12}[version]
	conn := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, MinVersion: v, MaxVersion: v}) // as devices do
	if err := conn.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.use(conn)
}

func (p *playedDevice) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads a reply whose last line begins with want.
func (p *playedDevice) expect(want string) {
	p.t.Helper()
	for {
		line, err := p.replies.ReadLine()
		if err == nil && len(line) > 3 && line[3] == '-' {
			continue
		}
		if err != nil || !strings.HasPrefix(line, want) {
			p.t.Fatalf("reply %q, %v; want %q", line, err, want)
		}
		return
	}
}

func unquote(t *testing.T, text string) string {
	t.Helper()
	s, err := strconv.Unquote(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// TestDeviceLeaves has a device leave while the API works on its message, by FIN and by
// reset. The message is sent once, and the log says what became of it.
func TestDeviceLeaves(t *testing.T) {
	for name, reset := range map[string]bool{"FIN": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			d := newSendingDaemon(t, deviceListener, "")
			gate := d.api.Stop()
			conn, err := net.Dial("tcp", d.address(1))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HELO x\r\nMAIL FROM:<x@example.com>\r\nRCPT TO:<ann@example.net>\r\nDATA\r\nTo: ann@example.net\r\n\r\nx\r\n.\r\n")
			select {
			case <-gate.Arrived:
			case <-time.After(10 * time.Second):
				t.Fatal("the API received no request")
			}
			if reset {
				conn.(*net.TCPConn).SetLinger(0)
			}
			conn.Close()
			if reset {
				d.log.waitFor(t, `ended="client lost: `)
			}
			gate.Leave <- struct{}{}
			d.log.waitFor(t, `msg="message accepted"`)
			d.log.waitFor(t, `msg="session ended"`)
			if n := len(d.api.Messages()); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// deviceListener is the listener of the devices in the tests of their dialogues.
const deviceListener = `[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
account = "alice@example.com"
networks = ["127.0.0.1"]
`
