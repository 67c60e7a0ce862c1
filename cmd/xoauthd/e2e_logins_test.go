package main_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// A step of a dialogue: a line of the client, and the start of the reply that it waits
// for.
type step struct{ say, want string }

// testWaysToLogIn uses all ways to send a password, and some malformed ones. The last
// scenario searches the log of this daemon for the passwords.
func testWaysToLogIn(t *testing.T, e *env) {
	d := e.authorized(t)
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	user, password := b64(d.user), b64(d.password)
	plain := b64("\x00" + d.user + "\x00" + d.password)
	for name, steps := range map[string][]step{
		"LOGIN with a quoted string": {{"a LOGIN " + d.user + " " + quote(d.password), "a OK "}},
		"LOGIN with literals": {
			{fmt.Sprintf("a LOGIN {%d}", len(d.user)), "+ "},
			{fmt.Sprintf("%s {%d}", d.user, len(d.password)), "+ "},
			{d.password, "a OK "},
		},
		"LOGIN with literals unasked": {
			{fmt.Sprintf("a LOGIN {%d+}\r\n%s {%d+}\r\n%s", len(d.user), d.user, len(d.password), d.password), "a OK "},
		},
		"LOGIN after mistakes": {
			{d.password, "* BAD "},
			{"a " + d.password, "* BAD "},
			{"a LOGIN " + d.user + " " + quote(d.password) + " " + quote(d.password), "a BAD "},
			{"a SELECT " + quote(d.password), "a BAD "},
			{"b LOGIN " + d.user + " " + quote(d.password), "b OK "},
		},
		"AUTHENTICATE PLAIN":                          {{"a AUTHENTICATE PLAIN", "+ "}, {plain, "a OK "}},
		"AUTHENTICATE PLAIN with an initial response": {{"a AUTHENTICATE PLAIN " + plain, "a OK "}},
		"AUTHENTICATE LOGIN":                          {{"a AUTHENTICATE LOGIN", "+ "}, {user, "+ "}, {password, "a OK "}},
		"AUTHENTICATE after one that was cancelled": {
			{"a AUTHENTICATE LOGIN", "+ "}, {user, "+ "}, {"*", "a BAD "},
			{"b AUTHENTICATE PLAIN", "+ "}, {plain, "b OK "},
		},
	} {
		t.Run(name, func(t *testing.T) { d.dialIMAP(t).play(steps) })
	}
	hello := step{"EHLO client.example.com", "250 "}
	for name, steps := range map[string][]step{
		"AUTH PLAIN":                          {hello, {"AUTH PLAIN", "334 "}, {plain, "235 "}},
		"AUTH PLAIN with an initial response": {hello, {"AUTH PLAIN " + plain, "235 "}},
		"AUTH LOGIN":                          {hello, {"AUTH LOGIN", "334 "}, {user, "334 "}, {password, "235 "}},
		"AUTH LOGIN with an initial response": {hello, {"AUTH LOGIN " + user, "334 "}, {password, "235 "}},
		"AUTH after mistakes": {
			hello, {d.password, "500 "}, {"AUTH " + plain, "504 "},
			{"AUTH LOGIN", "334 "}, {user, "334 "}, {"*", "501 "},
			{"AUTH PLAIN", "334 "}, {plain, "235 "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := d.dial(t, d.smtp)
			c.until("220 ")
			c.play(append(steps, step{"QUIT", "221 "}))
		})
	}
	for name, steps := range map[string][]step{
		"USER and PASS":                            {{"USER " + d.user, "+OK"}, {"PASS " + d.password, "+OK"}},
		"AUTH PLAIN of POP3":                       {{"AUTH PLAIN", "+ "}, {plain, "+OK"}},
		"AUTH PLAIN of POP3 with initial response": {{"AUTH PLAIN " + plain, "+OK"}},
		"AUTH LOGIN of POP3":                       {{"AUTH LOGIN", "+ "}, {user, "+ "}, {password, "+OK"}},
		"PASS after mistakes": {
			{d.password, "-ERR "}, {"PASS " + d.password, "-ERR "}, {"APOP " + d.user + " " + d.password, "-ERR "},
			{"AUTH LOGIN", "+ "}, {user, "+ "}, {"*", "-ERR "},
			{"USER " + d.user, "+OK"}, {"PASS " + d.password, "+OK"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := d.dial(t, d.pop3)
			c.until("+OK")
			c.play(append(steps, step{"STAT", "+OK 0 0"}, step{"QUIT", "+OK"}))
		})
	}
}

// play sends the lines of all steps and checks the replies.
func (c *conversation) play(steps []step) {
	c.t.Helper()
	for _, s := range steps {
		c.say("%s\r\n", s.say)
		line := c.line()
		for !strings.HasPrefix(line, s.want) && (strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "250-")) {
			line = c.line()
		}
		if !strings.HasPrefix(line, s.want) {
			c.t.Fatalf("%q, want %q", line, s.want)
		}
	}
}

// testOAUTHBEARER uses OAUTHBEARER, which "auto" does not choose here.
func testOAUTHBEARER(t *testing.T, e *env) {
	d := e.newDaemonWith(t, func(c *daemonConfig) { c.Mechanism = "oauthbearer" })
	d.authorize(t)
	d.worksEverywhere(t)
	d.logs(t, "AUTHENTICATE OAUTHBEARER", "AUTH OAUTHBEARER")
}
