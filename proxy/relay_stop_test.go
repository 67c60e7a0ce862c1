package proxy

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

func TestRelayStop(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, p *pipedRelay) // up to the stop
		why    string
		took   time.Duration
	}{
		{"nothing has ever moved", func(t *testing.T, p *pipedRelay) {}, closedAtShutdown, quiet},
		{"long quiet", func(t *testing.T, p *pipedRelay) {
			time.Sleep(time.Minute)
		}, closedAtShutdown, time.Minute},
		{"answered a moment ago", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "a NOOP\r\n")
			time.Sleep(time.Minute)
			pass(t, p.upstream, p.client, "a OK\r\n")
			synctest.Wait()
		}, closedAtShutdown, time.Minute + quiet},
		{"an answer is owed, and does not come", func(t *testing.T, p *pipedRelay) {
			pass(t, p.upstream, p.client, "354 go ahead\r\n")
			time.Sleep(time.Minute)
			pass(t, p.client, p.upstream, "message\r\n.\r\n")
			time.AfterFunc(10*time.Second, p.kill)
		}, closedAtShutdown, 70 * time.Second},
		{"an answer is owed, and comes", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "message\r\n.\r\n")
			time.AfterFunc(5*time.Second, func() { pass(t, p.upstream, p.client, "250 taken\r\n") })
		}, closedAtShutdown, 6 * time.Second},
		{"a download does not end", func(t *testing.T, p *pipedRelay) {
			go io.Copy(io.Discard, p.client)
			go func() {
				for err := error(nil); err == nil; {
					time.Sleep(quiet / 2)
					_, err = io.WriteString(p.upstream, "* 1 FETCH\r\n")
				}
			}()
		}, closedAtShutdown, busyDrain},
		{"the client has not yet taken all", func(t *testing.T, p *pipedRelay) {
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
				time.Sleep(quiet) // until nobody writes any more
			})
		})
	}
}

// An SMTP session ends when xoauthd stops as soon as each of its commands has its
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
		}, closedAtShutdown, 75*time.Second + quiet},
		{"a client within a message", func(t *testing.T, p *pipedRelay) {
			pass(t, p.client, p.upstream, "DATA\r\n")
			pass(t, p.upstream, p.client, "354 go\r\n")
			pass(t, p.client, p.upstream, "hello")
		}, func(t *testing.T, p *pipedRelay) {
			time.Sleep(30 * time.Second)
			pass(t, p.client, p.upstream, "\r\n.\r\n")
			time.Sleep(10 * time.Second)
			pass(t, p.upstream, p.client, "250 taken\r\n")
		}, closedAtShutdown, 40*time.Second + quiet},
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
