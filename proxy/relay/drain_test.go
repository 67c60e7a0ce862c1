package relay

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	imapdialogue "github.com/xoauthd/xoauthd/proxy/imap"
	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

func TestRelayStop(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, p *pipedRelay) // up to the stop
		why    string
		took   time.Duration
	}{
		{"no bytes yet", func(t *testing.T, p *pipedRelay) {}, closedAtShutdown, silentAfter},
		{"long quiet", func(t *testing.T, p *pipedRelay) {
			time.Sleep(time.Minute)
		}, closedAtShutdown, time.Minute},
		{"a recent reply", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a NOOP\r\n")
			time.Sleep(time.Minute)
			pass(t, p.upstream, p.client, "a OK\r\n")
			synctest.Wait()
		}, closedAtShutdown, time.Minute + silentAfter},
		{"a reply is owed, and does not come", func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "354 go ahead\r\n")
			time.Sleep(time.Minute)
			pass(t, p.client, p.upstream, "message\r\n.\r\n")
			time.AfterFunc(10*time.Second, p.kill)
		}, closedAtShutdown, 70 * time.Second},
		{"a reply comes, and may not be the last", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "message\r\n.\r\n")
			time.AfterFunc(5*time.Second, func() { pass(t, p.upstream, p.client, "250 taken\r\n") })
		}, closedAtShutdown, assumeOwed},
		{"a download does not end", func(t *testing.T, p *pipedRelay) {
			go io.Copy(io.Discard, p.client)
			go func() {
				for err := error(nil); err == nil; {
					time.Sleep(silentAfter / 2)
					_, err = io.WriteString(p.upstream, "* 1 FETCH\r\n")
				}
			}()
			time.AfterFunc(10*time.Second, p.kill)
		}, closedAtShutdown, 10 * time.Second},
		{"the client has not yet read everything", func(t *testing.T, p *pipedRelay) {
			go io.WriteString(p.upstream, "* 1 FETCH")
			time.AfterFunc(5*time.Second, func() { io.ReadFull(p.client, make([]byte, 9)) })
		}, closedAtShutdown, 6 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startPiped(t, 31*time.Minute)
				test.before(t, p)
				p.stop()
				p.wants(t, test.why, test.took)
				time.Sleep(silentAfter) // until the writer has ended
			})
		})
	}
}

// TestRelayStopSMTP checks that at a stop an SMTP session ends when each command has its
// reply, and not before: a message whose reply is lost is sent twice.
func TestRelayStopSMTP(t *testing.T) {
	const pipelined = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3 LAST\r\nabc"
	for _, test := range []struct {
		name   string
		before func(t *testing.T, p *pipedRelay) // up to the stop
		after  func(t *testing.T, p *pipedRelay)
		why    string
		took   time.Duration
	}{
		{"a session between messages", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, pipelined)
			pass(t, p.upstream, p.client, "250 ok\r\n250 ok\r\n250 taken\r\n")
			time.Sleep(time.Minute)
		}, nil, closedAtShutdown, time.Minute},
		{"a pipelined BDAT has no reply yet", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, pipelined)
			pass(t, p.upstream, p.client, "250 ok\r\n250 ok\r\n")
			time.Sleep(time.Minute)
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(15 * time.Second)
			pass(t, p.upstream, p.client, "250 taken\r\n")
		}, closedAtShutdown, 75*time.Second + silentAfter},
		{"a client within a message", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "DATA\r\n")
			pass(t, p.upstream, p.client, "354 go\r\n")
			pass(t, p.client, p.upstream, "hello")
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(30 * time.Second)
			pass(t, p.client, p.upstream, "\r\n.\r\n")
			time.Sleep(10 * time.Second)
			pass(t, p.upstream, p.client, "250 taken\r\n")
		}, closedAtShutdown, 40*time.Second + silentAfter},
		{"replies that cannot be counted", func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "250 unasked\r\n")
			time.AfterFunc(time.Minute, p.kill)
		}, nil, closedAtShutdown, time.Minute},
		{"a client that has half-closed", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, pipelined)
			pass(t, p.upstream, p.client, "250 ok\r\n250 ok\r\n")
			p.hangUp()
			synctest.Wait()
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(40 * time.Second)
			pass(t, p.upstream, p.client, "250 taken\r\n")
			p.upstream.Close()
		}, "client closed", 40 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startTracked(t, 31*time.Minute, new(smtpdialogue.Tracker))
				test.before(t, p)
				p.stop()
				if test.after != nil {
					test.after(t, p)
				}
				p.wants(t, test.why, test.took)
			})
		})
	}
}

// TestRelayStopReplies checks that at a stop an IMAP or POP3 session ends when each command
// has its reply, and not before. An IDLE has no reply to wait for.
func TestRelayStopReplies(t *testing.T) {
	imap := func() Tracker { return new(imapdialogue.Tracker) }
	for _, test := range []struct {
		name    string
		tracker func() Tracker
		before  func(t *testing.T, p *pipedRelay) // up to the stop
		after   func(t *testing.T, p *pipedRelay)
		took    time.Duration
	}{
		{"IDLE", imap, func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a IDLE\r\n")
			pass(t, p.upstream, p.client, "+ idling\r\n")
			time.Sleep(2 * time.Second)
		}, nil, 2 * time.Second},
		{"APPEND after NOOP", imap, func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a NOOP\r\nb APPEND INBOX {3+}\r\nabc\r\n")
			pass(t, p.upstream, p.client, "a OK\r\n")
			time.Sleep(time.Minute)
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(30 * time.Second)
			pass(t, p.upstream, p.client, "b OK\r\n")
		}, 90*time.Second + silentAfter},
		{"an incomplete literal", imap, func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "b APPEND INBOX {3}\r\n")
			pass(t, p.upstream, p.client, "+ go\r\n")
			pass(t, p.client, p.upstream, "ab")
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(30 * time.Second)
			pass(t, p.client, p.upstream, "c\r\n")
			time.Sleep(10 * time.Second)
			pass(t, p.upstream, p.client, "b OK\r\n")
		}, 40*time.Second + silentAfter},
		{"APPEND that is compressed", imap, func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a COMPRESS DEFLATE\r\n")
			pass(t, p.upstream, p.client, "a OK\r\n")
			pass(t, p.client, p.upstream, "NOOP and APPEND")
			pass(t, p.upstream, p.client, "OK")
			time.Sleep(20 * time.Second)
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(30 * time.Second)
			pass(t, p.upstream, p.client, "OK")
		}, assumeOwed},
		{"IDLE that is compressed", imap, func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a COMPRESS DEFLATE\r\n")
			pass(t, p.upstream, p.client, "a OK\r\n")
			time.Sleep(2 * time.Minute)
		}, nil, 2 * time.Minute},
		{"QUIT after DELE", func() Tracker { return new(pop3dialogue.Tracker) }, func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "DELE 1\r\nQUIT\r\n")
			pass(t, p.upstream, p.client, "+OK\r\n")
			time.Sleep(10 * time.Second)
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(30 * time.Second)
			pass(t, p.upstream, p.client, "+OK\r\n")
		}, 40*time.Second + silentAfter},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startTracked(t, 31*time.Minute, test.tracker())
				test.before(t, p)
				p.stop()
				if test.after != nil {
					test.after(t, p)
				}
				p.wants(t, closedAtShutdown, test.took)
			})
		})
	}
}
