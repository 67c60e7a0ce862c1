package gateway

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestSmuggling: what another server takes for text within a message must not end it here.
// Each variant would otherwise add a second transaction.
func TestSmuggling(t *testing.T) {
	const second = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nFrom: evil@example.com\r\n\r\nx"
	ends := []string{
		"\n.\n", "\n.\r\n", "\r.\r", "\r.\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n.\r", "\n\n.\n\n", "\r\n\x00.\r\n",
		"\r\n.\x00\r\n", "\r\n.\r\r\n", "\r\n. \r\n", "\n\r.\n\r", "\r\n..\r\n", "\u0085.\u0085", "\u2028.\u2028", "\r\x00\n.\r\x00\n",
	}
	devices := map[string]*Device{"authenticated": nil, "device": {}}
	for mode, device := range devices {
		for _, end := range ends {
			d := &capturer{traits: Traits{FromHeader: true}}
			f := newFixture(t, d)
			c := f.connect(t, device)
			if device != nil {
				device.Account = f.account
				c.say("EHLO client.test", "250")
			} else {
				c.login()
			}
			c.say("MAIL FROM:<joe@example.com>", "250 ")
			c.say("RCPT TO:<ann@example.net>", "250 ")
			c.say("DATA", "354 ")
			c.send("From: joe@example.com\r\nTo: ann@example.net\r\n\r\nfirst" + end + second + "\r\n.\r\n")
			c.reply()
			c.say("QUIT", "221 ") // otherwise a reply to a smuggled command
			got := d.messages()
			if len(got) > 1 {
				t.Errorf("%s, %q: %d messages", mode, end, len(got))
			}
			for _, m := range got {
				if !strings.Contains(string(m.content), "MAIL FROM:<evil@example.com>") {
					t.Errorf("%s, %q ended the message: %q", mode, end, m.content)
				}
				if strings.Contains(strings.ReplaceAll(string(m.content), "\r\n", ""), "\n") {
					t.Errorf("%s, %q: a bare LF is passed on", mode, end)
				}
				if i := strings.Index(string(m.content), "\r\n.\r\n"); i >= 0 && !strings.Contains(end, "..") && mode == "authenticated" {
					t.Errorf("%s, %q: the next server could take it for the end", mode, end)
				}
			}
		}
	}
}

// A bare LF in an authenticated session is refused: the next parser could take it for the
// end of a line, in the header for another field.
func TestBareLF(t *testing.T) {
	for _, content := range []string{
		"To: ann@example.net\r\nSubject: x\nBcc: evil@example.org\r\n\r\nx\r\n",
		"To: ann@example.net\r\n\r\nx\ny\r\n",
		"To: ann@example.net\n\nx\r\n",
	} {
		f, fake := newGraph(t)
		if got := f.connect(t, nil).login().transmit(content, "ann@example.net"); !strings.HasPrefix(got, "554 5.6.11 ") {
			t.Errorf("%q: %q", content, got)
		}
		if len(fake.Messages()) > 0 {
			t.Errorf("%q was sent", content)
		}
	}
}

// TestLineEnds: odd but harmless line ends pass unchanged.
func TestLineEnds(t *testing.T) {
	for _, body := range []string{
		"a\r\r\n.\r\r\nb\r\n", "a\r\r\n.b\r\n", ".\rb\r\n", "\r\n.\rb\r\n", "a\r\n\r\r\n", "a\rb\r\n", "..\r\n", ".\r\n..\r\n...\r\n",
		strings.Repeat("x", 16<<10) + "\r\n", strings.Repeat("x", 16<<10-1) + "\r\n", strings.Repeat("x", 16<<10-2) + "\r\n.\r\n",
		strings.Repeat("x", 16<<10-3) + "\r\n.y\r\n", "." + strings.Repeat("x", 40<<10) + "\r\n.\r\n",
	} {
		d := &capturer{}
		content := "To: ann@example.net\r\n\r\n" + body
		if got := newFixture(t, d).connect(t, nil).login().transmit(content, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
			t.Fatalf("%.40q: %q", body, got)
		}
		if got := d.messages(); len(got) != 1 || string(got[0].content) != content {
			t.Errorf("%.40q changed: %.60q", body, got[0].content[len(content)-len(body):])
		}
	}
}

// TestHeaderInjection: an envelope address cannot add a field, or a command.
func TestHeaderInjection(t *testing.T) {
	for _, to := range []string{
		"<ann@example.net\rBcc: evil@example.org>", "<ann@example.net\x00>", "<\"a\rb\"@example.net>", "<ann@example.net,evil@example.org>",
		"<ann@example.net> evil@example.org>", "<ann@exam ple.net>", "<ann@example.net;evil@example.org>", "<ann@example.net\x0bx>",
		"<ann(x)@example.net>", "<ann@example.net(x)>", "<=?utf-8?Q?a=0d=0ab?=@example.net>",
	} {
		f, fake := newGraph(t)
		c := f.connect(t, nil).login()
		c.say("MAIL FROM:<joe@example.com>", "250 ")
		c.send("RCPT TO:" + to + "\r\n")
		if got := c.reply(); strings.HasPrefix(got, "250 ") {
			c.say("DATA", "354 ")
			c.send("Subject: x\r\n\r\nx\r\n.\r\n")
			c.expect("250 ")
			for _, m := range fake.Messages() {
				fields, _ := parseHeader(m.Raw)
				if len(fields) != 2 || len(m.Recipients) != 1 {
					t.Errorf("%q: recipients %q of %q", to, m.Recipients, m.Raw)
				}
			}
		}
		c.say("QUIT", "221 ")
	}
}

// TestAddresses: what looks like a route is only an address for the provider.
func TestAddresses(t *testing.T) {
	tests := []struct{ command, want string }{
		{"RCPT TO:<victim%other.example@example.net>", "victim%other.example@example.net"},
		{"RCPT TO:<other.example!victim@example.net>", "other.example!victim@example.net"},
		{"RCPT TO:<@example.net,@other.example:victim@example.org>", "victim@example.org"},
		{`RCPT TO:<"victim@other.example"@example.net>`, `"victim@other.example"@example.net`},
		{`RCPT TO:<"a b\"c"@example.net>`, `"a b\"c"@example.net`},
	}
	for _, test := range tests {
		d := &capturer{traits: Traits{FromHeader: true}}
		c := newFixture(t, d).connect(t, nil).login()
		c.say("MAIL FROM:<joe@example.com>", "250 ")
		c.say(test.command, "250 ")
		c.say("DATA", "354 ")
		c.send("Subject: x\r\n\r\nx\r\n.\r\n")
		c.expect("250 ")
		if got := string(d.messages()[0].content); !strings.HasPrefix(got, "Bcc: "+test.want+"\r\n") {
			t.Errorf("%s: %q", test.command, got)
		}
	}
}

func TestMailParameters(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil).login()
	for _, test := range []struct{ parameters, want string }{
		{" BODY=8BITMIME SIZE=100", "250 "},
		{" AUTH=<>", "250 "},
		{" BODY=BINARYMIME", "504 "},
		{" SMTPUTF8", "504 "},
		{" RET=FULL", "504 "},
		{" SIZE=99999999999999999999", "501 "},
		{" SIZE=-1", "501 "},
		{" XFOO=1", "500 "},
		{" AUTH=a=b=c", "501 "},
		{"\x00", "500 "},
		{" HOLDFOR=3600", "500 "},
	} {
		c.say("MAIL FROM:<joe@example.com>"+test.parameters, test.want)
		c.say("RSET", "250 ")
	}
	c.say("MAIL FROM:<>", "250 ")
	c.say("RCPT TO:<>", "501 ")
	c.say("RCPT TO:<jörg@example.net>", "553 5.6.7 ")
	c.say("RCPT TO:<ann@bücher.example>", "250 ")
	c.say("RCPT TO:<ann@example.net> NOTIFY=NEVER", "504 ")
	c.say("VRFY ann", "252 ")
	c.say("STARTTLS", "502 ")
	c.say("QUIT ", "221 ")
}

// Parts of commands that replies repeat cannot add a line to them.
func TestRepliesAreOneLine(t *testing.T) {
	f, _ := newGraph(t)
	c := f.connect(t, nil)
	if got := c.say("EHLO a\rb\x1b", "250"); strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("EHLO: %q", got)
	}
	c.send("XFOO\r250 ok\r\n")
	if got := c.reply(); strings.Contains(got, "\r") {
		t.Errorf("reply: %q", got)
	}
}

// Commands behind an aborted message are not executed.
func TestHalfMessage(t *testing.T) {
	f, fake := newGraph(t)
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	c.say("RCPT TO:<ann@example.net>", "250 ")
	c.say("DATA", "354 ")
	c.send(message)
	c.Conn.(*pipeConn).CloseWrite()
	rest, _ := io.ReadAll(c.in.R)
	if !strings.HasPrefix(string(rest), "421 ") || strings.Contains(string(rest), "250") {
		t.Errorf("replies: %q", rest)
	}
	if len(fake.Messages()) > 0 {
		t.Error("half a message was sent")
	}
}

// A header that is made to be slow to parse is not: all parsers need linear time.
func TestSlowHeaders(t *testing.T) {
	const n = 64 << 10
	start := time.Now()
	for _, unit := range []string{
		"(", "()", "(\\", "\"", "\"\\", "[", "[]", "<", "<>", "@", "a@", "a@b,", "a@b ", "a@b:", ":", ";", ",", "<@", "<@a,", "\r\n ", "=?", "=?utf-8?q?x?= ", "x",
	} {
		for _, prefix := range []string{"To: ", "Bcc: a@example.net, ", "To: " + strings.Repeat("x", n/2) + "@"} {
			size := n - len(prefix)
			h := newHeader([]byte(prefix + strings.Repeat(unit, size/len(unit)) + "\r\n"))
			h.setRecipients(envelope(t, "a@example.net"), DropFromTheField)
			h.rewriteSender(mailboxName)
			h.bytes()
		}
	}
	newHeader([]byte(strings.Repeat("a:\r\n", n/4))).setRecipients(nil, RefuseMessage)
	newHeader([]byte(strings.Repeat("bcc:a@b\r\n", n/10))).setRecipients(nil, DropFromTheField)
	if took := time.Since(start); took > time.Minute {
		t.Errorf("time: %v", took)
	}
}
