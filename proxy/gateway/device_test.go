package gateway

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newDevice returns a gateway and a session of a device whose account is that of the
// gateway.
func newDevice(t *testing.T, d *Device) (*fixture, *capturer, *client) {
	t.Helper()
	deliverer := &capturer{traits: Traits{Name: "capture", FromHeader: true}}
	f := newFixture(t, deliverer)
	if d.BySender == nil {
		d.Account = f.account
	}
	return f, deliverer, f.connect(t, d)
}

var added = regexp.MustCompile(`(?m)^(Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}|Message-ID: <[A-Z2-7]{26}@example\.com>)\r\n`)

func TestDeviceOffersNoAUTH(t *testing.T) {
	_, _, c := newDevice(t, &Device{})
	if got := c.say("EHLO device", "250"); strings.Contains(got, "AUTH") {
		t.Errorf("EHLO: %q", got)
	}
	c.say("AUTH", "502 5.5.4 ")
	c.say("AUTH XOAUTH2", "334 ")
	c.say("bm9uc2Vuc2U=", "235 ")
	c.say("AUTH PLAIN no/base64!", "235 ")
	c.say("MAIL FROM:<a@example.com>", "250 ")
}

func TestDeviceSenders(t *testing.T) {
	f, _, c := newDevice(t, &Device{Senders: []string{"*@example.com", "scan-*@Example.ORG"}, Client: "192.0.2.7"})
	c.say("HELO device", "250")
	for sender, want := range map[string]string{
		"a@example.com": "250 ", "A@EXAMPLE.COM": "250 ", "scan-1@example.org": "250 ", "scan-@example.org": "250 ",
		"a@example.org": "550 5.7.1 ", "a@sub.example.com": "550 5.7.1 ", "a@example.com.evil.example": "550 5.7.1 ",
		`"x@example.com"@evil.example`: "550 5.7.1 ", "": "550 5.7.1 ",
	} {
		c.say("MAIL FROM:<"+sender+">", want)
		c.say("RSET", "250 ")
	}
	got := c.say("MAIL FROM:<a@example.net>", "550 5.7.1 ")
	if !strings.Contains(got, "<a@example.net>") || !strings.Contains(got, "*@example.com, scan-*@Example.ORG") {
		t.Errorf("reply: %q", got)
	}
	if r := f.last(t); r.Result.Kind != SenderRefused || r.Client != "192.0.2.7" || r.Sender != "a@example.net" || r.ReplyText() != got {
		t.Errorf("report: %+v", r)
	}
}

func TestDeviceBySender(t *testing.T) {
	var f *fixture
	device := &Device{BySender: func(sender string) (*Account, error) {
		switch sender {
		case mailboxName:
			return f.account, nil
		case "off@example.com":
			return nil, status("550 5.7.1").reply("the account is disabled")
		}
		return nil, errors.New("unknown")
	}}
	f, d, c := newDevice(t, device)
	c.say("HELO device", "250")
	c.say("MAIL FROM:<other@example.com>", "550 5.7.1 no account sends as <other@example.com>")
	c.say("RCPT TO:<ann@example.net>", "502 ")
	c.say("MAIL FROM:<off@example.com>", "550 5.7.1 the account is disabled")
	c.say("MAIL FROM:<>", "550 5.7.1 ")
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	c.say("RCPT TO:<ann@example.net>", "250 ")
	c.say("DATA", "354 ")
	c.send(stuffed(message))
	c.expect("250 ")
	c.say("MAIL FROM:<other@example.com>", "550 5.7.1 ") // the account of the last message is forgotten
	c.say("RCPT TO:<ann@example.net>", "502 ")
	if got := d.messages(); len(got) != 1 || got[0].Account != f.account {
		t.Errorf("messages: %+v", got)
	}
}

func TestDeviceRewriteSender(t *testing.T) {
	_, d, c := newDevice(t, &Device{RewriteSender: true})
	c.say("HELO device", "250")
	c.say("MAIL FROM:<printer>", "250 ") // rewritten anyway
	c.say("RCPT TO:<ann@example.net>", "250 ")
	c.say("DATA", "354 ")
	c.send("From: Printer <printer@device.invalid>\r\nTo: ann@example.net\r\n\r\nx\r\n.\r\n")
	c.expect("250 ")
	got := d.messages()
	want := "Reply-To: Printer <printer@device.invalid>\r\nFrom: Printer <joe@example.com>\r\nTo: ann@example.net\r\n\r\nx\r\n"
	if len(got) != 1 || got[0].From != mailboxName || !strings.HasPrefix(added.ReplaceAllString(string(got[0].content), ""), want) {
		t.Errorf("messages: %+v", got)
	}
}

// A client that ends its commands with CRLF cannot end a message with LF, and one that ends
// them with LF can.
func TestDeviceEndOfMessage(t *testing.T) {
	for _, test := range []struct {
		eol, end string
		ends     bool
	}{
		{"\n", "\n.\n", true}, {"\n", "\r\n.\r\n", true}, {"\n", "\n.\r\n", true}, {"\r\n", "\r\n.\r\n", true},
		{"\r\n", "\n.\n", false}, {"\r\n", "\r\n.\n", false}, {"\r\n", "\n.\r\n", false}, {"\n", "\r.\r", false},
	} {
		_, d, c := newDevice(t, &Device{})
		for _, command := range []string{"HELO device", "MAIL FROM:<a@example.com>", "RCPT TO:<ann@example.net>", "DATA"} {
			c.send(command + test.eol)
			c.reply()
		}
		c.send("To: ann@example.net" + test.eol + test.eol + "x" + test.end + "NOOP" + test.eol)
		if !test.ends {
			c.send("." + test.eol + "\r\n.\r\n")
		}
		c.expect("250 ")
		got := d.messages()
		if len(got) != 1 || strings.Contains(string(got[0].content), "NOOP") == test.ends {
			t.Errorf("%q, %q: messages %+v", test.eol, test.end, got)
		}
	}
}

// A device that ends only its final dot with LF is heard when it waits for the reply. More
// text within three seconds belongs to the message.
func TestDeviceFinalDot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pause := range []time.Duration{0, finalDotWait - time.Millisecond, finalDotWait + time.Millisecond} {
			f, d, c := newDevice(t, &Device{})
			c.say("HELO device", "250")
			c.say("MAIL FROM:<a@example.com>", "250 ")
			c.say("RCPT TO:<ann@example.net>", "250 ")
			c.say("DATA", "354 ")
			start := time.Now()
			c.send("To: ann@example.net\r\n\r\nx\r\n.\n")
			if pause <= finalDotWait {
				time.Sleep(pause)
				c.send("NOOP\r\n.\r\n")
			}
			c.expect("250 ")
			if took := time.Since(start); took != min(pause, finalDotWait) {
				t.Errorf("%v: the reply came after %v", pause, took)
			}
			got := d.messages()
			if len(got) != 1 || strings.Contains(string(got[0].content), "NOOP") != (pause <= finalDotWait) {
				t.Errorf("%v: messages %+v", pause, got)
			}
			c.say("NOOP", "250 ")
			f.Close()
		}
	})
}

// A message that never ends gets a reply that says how it should.
func TestDeviceNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, c := newDevice(t, &Device{})
		c.say("HELO device", "250")
		c.say("MAIL FROM:<a@example.com>", "250 ")
		c.say("RCPT TO:<ann@example.net>", "250 ")
		c.say("DATA", "354 ")
		c.send("To: ann@example.net\r\n\r\nx\r\n.")
		if got := c.expect("421 4.4.2 "); !strings.Contains(got, "a line that has only a dot") {
			t.Error(got)
		}
		if r := f.last(t); r.Result.Kind != Aborted || len(d.messages()) != 0 {
			t.Errorf("%+v, %d messages", r, len(d.messages()))
		}
		f.Close()
	})
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "x@y", true}, {"a*c", "abc", true}, {"a*c", "ab", false}, {"*b*", "abc", true},
		{"a", "a", true}, {"a", "ab", false}, {"", "", true}, {"", "a", false}, {"*@x", "a@xx", false},
	} {
		if got := matches(test.pattern, test.s); got != test.want {
			t.Errorf("matches(%q, %q) = %v", test.pattern, test.s, got)
		}
	}
}

// A second address in a command must not be dropped silently.
func TestDeviceSecondAddress(t *testing.T) {
	for _, command := range []string{
		"RCPT TO:<a@example.net>,<b@example.net>", "RCPT TO: <a@example.net>; <b@example.net>", "RCPT TO:a@example.net b@example.net",
		"RCPT TO:<a@example.net> <b@example.net>", "RCPT TO:<a@example.net>b@example.net", "RCPT TO:<a@example.net>, b",
		"RCPT TO:b@example.net <a@example.net>", "RCPT TO:b@example.net <a>", "RCPT TO:a@example.net,b@example.net",
		"RCPT TO:a@example.net; b", "MAIL FROM:<a@example.net> <b@example.net>",
	} {
		_, _, c := newDevice(t, &Device{})
		c.say("HELO device", "250")
		if strings.HasPrefix(command, "RCPT") {
			c.say("MAIL FROM:<ok@example.com> AUTH=<ok@example.com> SIZE=100", "250 ")
		}
		c.say(command, "501 5.1.3 ")
		c.say("NOOP", "250 ")
	}
	_, d, c := newDevice(t, &Device{})
	c.say("HELO device", "250")
	c.say("MAIL FROM:<ok@example.com>", "250 ")
	c.say("RCPT TO: Ann <ann@example.net> ORCPT=rfc822;ann@example.net", "250 ")
	c.say("RCPT TO:bob@example.net NOTIFY=NEVER", "250 ")
	c.say("DATA", "354")
	c.send("Subject: x\r\n\r\nx\r\n.\r\n")
	c.expect("250 ")
	if got := d.messages()[0].To; strings.Join(got, " ") != "ann@example.net bob@example.net" {
		t.Errorf("recipients: %q", got)
	}
}

// Some devices authenticate for each message.
func TestDeviceRepeatedAUTH(t *testing.T) {
	_, _, c := newDevice(t, &Device{})
	for range 3 {
		c.say("EHLO device", "250")
		c.say("AUTH PLAIN AGEAYg==", "235 2.7.0 ")
		c.say("AUTH LOGIN", "334 ")
		c.say("eA==", "334 ")
		c.say("eA==", "235 2.7.0 ")
		c.say("MAIL FROM:<a@example.com>", "250 ")
		c.say("RSET", "250 ")
	}
}

// The relay looks for DATA behind as many spaces at least.
func TestDeviceIndent(t *testing.T) {
	_, _, c := newDevice(t, &Device{})
	c.say("HELO device", "250")
	c.say(strings.Repeat(" ", 65)+"NOOP", "50")
	c.say(strings.Repeat(" ", 63)+"\tNOOP", "250 ")
}
