package proxy

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
)

// TestCheckLogin checks the login with a new token, without a client.
func TestCheckLogin(t *testing.T) {
	const hello = "U> * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello"
	const auth = "U< A1 AUTHENTICATE XOAUTH2 b64(user=joe@example.com^Aauth=Bearer t0ken^A^A)"
	const accepted = "U> A1 OK [CAPABILITY IMAP4rev1] logged in"
	pop3 := []string{"U> +OK hello", "U< CAPA", "U> +OK", "U> SASL XOAUTH2", "U> .", "U< AUTH XOAUTH2", "U> + ",
		"U< b64(user=joe@example.com^Aauth=Bearer t0ken^A^A)", "U> +OK in", "U< STAT"}
	for _, test := range []struct {
		name, protocol string
		script         []string
		want           Result
		words          string
	}{
		{"the mailbox opens", "imap", []string{hello, auth, accepted, "U< A2 EXAMINE INBOX",
			"U> * 3 EXISTS", "U> A2 OK [READ-ONLY] done", "U< A3 LOGOUT", "U$"}, "", ""},
		{"the token is refused", "imap", []string{hello, auth, "U> A1 NO no", "U$"}, UpstreamRefused, "NO no"},
		{"the mailbox does not open", "imap", []string{hello, auth, accepted, "U< A2 EXAMINE INBOX",
			"U> A2 BAD User is authenticated but not connected.", "U$"}, UpstreamRefused, "BAD User is authenticated but not connected."},
		{"the mailbox does not open now", "imap", []string{hello, auth, accepted, "U< A2 EXAMINE INBOX",
			"U> A2 NO [INUSE] somebody else", "U$"}, UpstreamDown, "NO [INUSE] somebody else"},
		{"the upstream closes", "imap", []string{hello, auth, accepted, "U< A2 EXAMINE INBOX", "U-"}, UpstreamDown, ""},
		{"no reply", "imap", []string{hello, auth, accepted, "U< A2 EXAMINE INBOX", "~ 28s", "U$"}, UpstreamDown, ""},
		{"submission has no mailbox", "smtp", []string{"U> 220 hello", "U< EHLO localhost", "U> 250-x",
			"U> 250 AUTH XOAUTH2", "U< AUTH XOAUTH2 ...", "U> 235 2.7.0 yes", "U< QUIT", "U$"}, "", ""},
		{"POP3 opens the mailbox, and deletes nothing", "pop3", slices.Concat(pop3, []string{"U> +OK 2 320", "U< QUIT", "U$"}), "", ""},
		{"POP3 does not open the mailbox", "pop3", slices.Concat(pop3, []string{"U> -ERR [SYS/PERM] not for POP", "U$"}), UpstreamRefused, "-ERR [SYS/PERM] not for POP"},
		{"POP3 does not open the mailbox now", "pop3", slices.Concat(pop3, []string{"U> -ERR [IN-USE] locked", "U< QUIT", "U$"}), "", ""},
		{"POP3 has been asked just now", "pop3", append(slices.Clone(pop3[:len(pop3)-2]), "U> -ERR [LOGIN-DELAY] wait", "U$"), "", ""},
		{"POP3 is not ready", "pop3", append(slices.Clone(pop3[:len(pop3)-2]), "U> -ERR [SYS/TEMP] later", "U$"), UpstreamDown, "-ERR [SYS/TEMP] later"},
	} {
		t.Run(test.name, func(t *testing.T) {
			attempt(t, test.protocol, test.script, test.want, test.words, func(ctx context.Context, p *player) error {
				return p.server.CheckLogin(ctx, test.protocol, p.account.upstream, "joe@example.com", "t0ken")
			})
		})
	}
	s, _ := newTestServer(nil)
	if e := asError(s.CheckLogin(t.Context(), "gopher", nil, "", "")); e.Result != Misconfigured {
		t.Error(e)
	}
}

// TestCheckReachable checks the connection to an upstream without a login.
func TestCheckReachable(t *testing.T) {
	for _, test := range []struct {
		name, protocol string
		script         []string
		want           Result
		words          string
	}{
		{"IMAP", "imap", []string{"U> * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hello", "U< A1 LOGOUT", "U$"}, "", ""},
		{"SMTP", "smtp", []string{"U> 220 hello", "U< EHLO localhost", "U> 250 AUTH XOAUTH2", "U< QUIT", "U$"}, "", ""},
		{"the upstream is not ready", "imap", []string{"U> * BYE later", "U$"}, UpstreamDown, "BYE later"},
		{"no greeting", "imap", []string{"~ 20s", "U$"}, UpstreamDown, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			attempt(t, test.protocol, test.script, test.want, test.words, func(ctx context.Context, p *player) error {
				return p.server.CheckReachable(ctx, test.protocol, p.account.upstream)
			})
		})
	}
	s, _ := newTestServer(nil)
	if e := asError(s.CheckReachable(t.Context(), "gopher", nil)); e.Result != Misconfigured {
		t.Error(e)
	}
}

// attempt plays the upstream for try, which has no client, and checks its result.
func attempt(t *testing.T, protocol string, script []string, want Result, words string, try func(context.Context, *player) error) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, protocol, slog.LevelInfo)
		p.c, p.done = newPeer(noClient{}), make(chan struct{})
		close(p.done)
		defer p.end()
		tried := make(chan error, 1)
		go func() { tried <- try(t.Context(), p) }()
		for _, line := range append([]string{"U+"}, script...) {
			if err := p.play(line); err != nil {
				t.Fatal(line, err)
			}
		}
		err := <-tried
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if e := asError(err); e.Result != want || e.Reply() != words {
			t.Errorf("%s: %s, %v", e.Result, e.Reply(), err)
		}
	})
}

// noClient is the connection of a client that does not exist.
type noClient struct{ net.Conn }

func (noClient) Close() error { return nil }
