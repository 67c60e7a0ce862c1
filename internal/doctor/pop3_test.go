package doctor

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/step"
)

const (
	pop3Login   = "POP3 login at pop.example.com:995"
	pop3Mailbox = "POP3 mailbox at pop.example.com:995"
	pop3Caps    = "+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN XOAUTH2\r\nUSER\r\n."
)

// newPOP3Env returns an env whose account uses a POP3 server over TLS.
func newPOP3Env(t *testing.T, secret string, server func(net.Conn)) *env {
	t.Helper()
	e := newEnv(t, secret)
	e.addresses["pop.example.com"] = "192.0.2.4"
	e.subject.Upstreams = []Upstream{{e.upstream("pop.example.com", 995, false), "pop3", alice}}
	e.subject.Listeners = []Listener{{Protocol: "pop3", Address: "127.0.0.1:1110"}}
	e.servers["127.0.0.1:1110"] = says("+OK xoauthd ready\r\n")
	e.servers["192.0.2.4:995"] = secure(e.certificate("pop.example.com", right), server)
	return e
}

func TestPOP3(t *testing.T) {
	const begin = "AUTH XOAUTH2"
	in := func(pairs ...string) func(net.Conn) { // after login
		return script("+OK hi", append([]string{"CAPA", pop3Caps, begin, "+ ", "dXNlcj", "+OK in", "QUIT", "+OK bye"}, pairs...)...)
	}
	onceCapable := func(c net.Conn) { // before login
		asked := 0
		for line := range greeted(c, "+OK hi") {
			answer := "+OK bye"
			switch line {
			case "CAPA":
				answer = "-ERR not now"
				if asked++; asked == 1 {
					answer = pop3Caps
				}
			case begin:
				answer = "+ "
			case "STAT":
				answer = "+OK 2 320"
			}
			fmt.Fprint(c, answer+"\r\n")
		}
	}
	const twice = "Programs that leave mail on the server may fetch some twice, or never."
	for _, test := range []struct {
		name       string
		server     func(net.Conn)
		step       string
		outcome    step.Outcome
		told, hint string // its detail or, if it is not well, its cause
	}{
		{"well", in("STAT", "+OK 2 320", "UIDL", "+OK\r\n1 a\r\n2 b\r\n."), pop3Login, step.OK, "XOAUTH2 as " + alice, ""},
		{"the mailbox is well", in("STAT", "+OK 2 320", "UIDL", "+OK\r\n1 a\r\n2 b\r\n."), pop3Mailbox, step.OK, "2 messages, 320 octets", ""},
		{"Microsoft refuses the token", script("+OK hi", "CAPA", pop3Caps, begin, "+ ", "dXNlcj", "-ERR Authentication failure: unknown user name or bad password."),
			pop3Login, step.Failed, "XOAUTH2: -ERR Authentication failure: unknown user name or bad password.", "Hint: upstream_refused."},
		{"Google refuses the token", script("+OK hi", "CAPA", pop3Caps, begin, "+ ", "dXNlcj", "+ eyJzdGF0dXMiOiI0MDAifQ==", "", "-ERR [AUTH] Invalid credentials"),
			pop3Login, step.Failed, `XOAUTH2: -ERR [AUTH] Invalid credentials ({"status":"400"})`, "Hint: upstream_refused."},
		{"the mailbox is open elsewhere", script("+OK hi", "CAPA", pop3Caps, begin, "+ ", "dXNlcj", "-ERR [IN-USE] locked"),
			pop3Login, step.Failed, "XOAUTH2: -ERR [IN-USE] locked", "Hint: upstream_down."},
		{"the mailbox does not open", in("STAT", "-ERR [sys/temp] later"),
			pop3Mailbox, step.Failed, "STAT: -ERR [sys/temp] later", "Hint: upstream_down."},
		{"messages without an id", in("STAT", "+OK 2 320", "UIDL", "+OK\r\n1 a\r\n."), pop3Mailbox, step.Warning, "UIDL lists 1 messages", twice},
		{"no ids at all", in("STAT", "+OK 2 320", "UIDL", "-ERR no such command"), pop3Mailbox, step.Warning, "UIDL: -ERR no such command", twice},
		{"no capabilities after login", onceCapable, pop3Mailbox, step.Warning, "CAPA: -ERR not now", "Programs cannot find out what the server can do."},
		{"the server repeats what it was sent", script("+OK hi", "CAPA", pop3Caps, begin, "+ ", "dXNlcj", "-ERR what is LINE"),
			pop3Login, step.Failed, "XOAUTH2: -ERR what is (hidden)", "Hint: upstream_refused."},
		{"another protocol", script("+OK hi", "CAPA", pop3Caps, begin, "* BYE"),
			pop3Login, step.Failed, `XOAUTH2: not POP3: "* BYE"`, "Hint: upstream_down."},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newPOP3Env(t, opaque, test.server)
				r, _, _ := e.examine()
				s := findStep(t, r, test.step)
				told := s.Cause
				if told == "" {
					told = s.Detail
				}
				if s.Outcome != test.outcome || told != test.told || s.Remedy != test.hint {
					t.Errorf("%s: %q, remedy %q", s.Outcome, told, s.Remedy)
				}
				if l := findStep(t, r, pop3Login); test.step == pop3Mailbox && l.Outcome != step.OK {
					t.Errorf("the login, which was good: %+v", l)
				}
			})
		})
	}
}

// An app password is sent by USER and PASS if the server has no mechanism for it.
func TestPOP3Password(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPOP3Env(t, "abcd-efgh-ijkl-mnop", script("+OK hi", "CAPA", "+OK\r\nUSER\r\n.",
			"USER alice@example.com", "+OK", "PASS abcd-efgh-ijkl-mnop", "+OK LINE", "STAT", "+OK 0 0", "QUIT", "+OK bye"))
		e.subject.Flow = flow.AppPassword
		e.subject.Upstreams[0].Mechanism = "password"
		r, text, _ := e.examine()
		if s := findStep(t, r, pop3Login); !r.OK || s.Detail != "LOGIN as "+alice {
			t.Error(text)
		}
		if s := findStep(t, r, pop3Mailbox); s.Detail != "0 messages, 0 octets" {
			t.Error(text)
		}
	})
}

func TestPOP3STLS(t *testing.T) {
	for _, test := range []struct{ name, answer, cause string }{
		{"well", "+OK go ahead\r\n", ""},
		{"refused", "-ERR not now\r\n", "STARTTLS: -ERR not now"},
		{"injected", "+OK go ahead\r\n+OK\r\n", "STARTTLS: server sent more than its answer to STLS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newPOP3Env(t, opaque, nil)
				e.subject.Upstreams[0].Upstream = e.upstream("pop.example.com", 110, true)
				certificate := e.certificate("pop.example.com", right)
				e.servers["192.0.2.4:110"] = func(c net.Conn) {
					fmt.Fprint(c, "+OK hi\r\n")
					if line, _ := bufio.NewReader(c).ReadString('\n'); line != "STLS\r\n" {
						t.Errorf("said %q", line)
					}
					fmt.Fprint(c, test.answer)
					secure(certificate, says(""))(c)
				}
				r, _, _ := e.examine()
				if s := findStep(t, r, "connection to pop.example.com:110"); s.Cause != test.cause {
					t.Errorf("%+v", s)
				}
				if s := findStep(t, r, "POP3 login at pop.example.com:110"); (s.Outcome == step.Skipped) != (test.cause != "") {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A grant that is older than the POP3 listener lacks the scope for POP3.
func TestPOP3Scope(t *testing.T) {
	for scope, want := range map[string]string{
		"https://outlook.office.com/IMAP.AccessAsUser.All": "Add https://outlook.office.com/POP.AccessAsUser.All to the scopes",
		"https://outlook.office.com/POP.AccessAsUser.All":  "Authorize again",
	} {
		synctest.Test(t, func(t *testing.T) {
			e := newPOP3Env(t, signed(t, nil), script("+OK hi", "CAPA", pop3Caps, "AUTH XOAUTH2", "+ ", "dXNlcj", "-ERR no"))
			e.subject.Provider.Scopes = []string{scope}
			r, _, _ := e.examine()
			if s := findStep(t, r, "claims of the token"); s.Cause != "scp has no POP.AccessAsUser.All, which POP3 needs" || !strings.HasPrefix(s.Remedy, want) {
				t.Errorf("%s: %+v", scope, s)
			}
		})
	}
}
