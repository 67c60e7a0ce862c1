package gateway

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// newVirtual returns a gateway for a fake without a network, for use in a bubble of
// synctest.
func newVirtual(t *testing.T, hold time.Duration) (*fixture, *graph.Server) {
	fake := &graph.Server{}
	fake.Allow(firstToken, mailboxName)
	return newFixture(t, &Graph{BaseURL: "http://graph.test/v1.0", Transport: handled{fake}, Hold: hold}), fake
}

// inBubble runs test in virtual time. It ends the gateway before the bubble.
func inBubble(t *testing.T, hold time.Duration, test func(t *testing.T, f *fixture, fake *graph.Server)) {
	synctest.Test(t, func(t *testing.T) {
		f, fake := newVirtual(t, hold)
		test(t, f, fake)
		f.Close()
	})
}

func TestThrottlingHoldsTheClient(t *testing.T) {
	inBubble(t, time.Minute, func(t *testing.T, f *fixture, fake *graph.Server) {
		fake.Fail(
			mailapi.Fault{Status: 429, Code: "ApplicationThrottled", RetryAfter: "7"},
			mailapi.Fault{Status: 503, Code: "ServiceUnavailable", RetryAfter: time.Now().Add(20 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")},
			mailapi.Fault{Status: 429, Code: "ApplicationThrottled"},
		)
		start := time.Now()
		got := f.connect(t, nil).login().transmit(message, "ann@example.net")
		if !strings.HasPrefix(got, "250 ") || len(fake.Messages()) != 1 {
			t.Error(got)
		}
		if took := time.Since(start); took != 30*time.Second { // 7, then until 20, then 10
			t.Errorf("time: %v", took)
		}
	})
}

func TestThrottlingIsBounded(t *testing.T) {
	inBubble(t, 30*time.Second, func(t *testing.T, f *fixture, fake *graph.Server) {
		fake.Fail(slices.Repeat([]mailapi.Fault{{Status: 429, RetryAfter: "12"}}, 10)...)
		start := time.Now()
		got := f.connect(t, nil).login().transmit(message, "ann@example.net")
		if !strings.HasPrefix(got, "451 4.3.2 ") || f.last(t).Result.Kind != Throttled {
			t.Error(got)
		}
		if took := time.Since(start); took != 24*time.Second {
			t.Errorf("time: %v", took)
		}
	})
	inBubble(t, 30*time.Second, func(t *testing.T, f *fixture, fake *graph.Server) {
		fake.Fail(mailapi.Fault{Status: 429, RetryAfter: "3600"})
		start := time.Now()
		f.connect(t, nil).login().transmit(message, "ann@example.net")
		if took := time.Since(start); took != 0 {
			t.Errorf("the client was held for %v, in vain", took)
		}
	})
}

// At most four requests at a time for a mailbox, whatever the number of sessions.
func TestConcurrency(t *testing.T) {
	f, fake := newGraph(t)
	f.Deliverer.(*Graph).Hold = time.Minute
	gate := fake.Stop()
	const senders = 30
	var all sync.WaitGroup
	for range senders {
		c := f.connect(t, nil).login()
		all.Go(func() {
			if got := c.transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
				t.Error(got)
			}
		})
	}
	for i := range senders {
		<-gate.Arrived
		if i >= graph.Concurrent-1 { // from now on, as many as possible are there
			gate.Leave <- struct{}{}
		}
	}
	for range graph.Concurrent - 1 {
		gate.Leave <- struct{}{}
	}
	all.Wait()
	if n := fake.Busiest(); n != graph.Concurrent {
		t.Errorf("at a time: %d, want %d", n, graph.Concurrent)
	}
	if n := len(fake.Messages()); n != senders {
		t.Errorf("messages: %d, want %d", n, senders)
	}
}

func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q mailboxQueue
		leave, err := q.enter(t.Context(), "a@x.example", 1)
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		for i := range 50 {
			go func() {
				leave, err := q.enter(t.Context(), "A@x.example", 1)
				if err != nil {
					return
				}
				order = append(order, i)
				leave()
			}()
			synctest.Wait()
		}
		other, err := q.enter(t.Context(), "b@x.example", 1) // another mailbox need not wait
		if err != nil {
			t.Fatal(err)
		}
		other()
		leave()
		synctest.Wait()
		if len(order) != 50 || !slices.IsSorted(order) {
			t.Errorf("order: %d", order)
		}
		if len(q.boxes) != 0 {
			t.Errorf("mailboxes: %v", q.boxes)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Graph{BaseURL: "http://graph.test", Hold: 20 * time.Second, Concurrent: 1}
		f := newFixture(t, g)
		defer f.Close()
		g.once.Do(g.begin)
		leave, _ := g.q.enter(t.Context(), mailboxName, 1)
		defer leave()
		start := time.Now()
		got := f.connect(t, nil).login().transmit(message, "ann@example.net")
		if !strings.HasPrefix(got, "451 4.3.2 ") || time.Since(start) != 20*time.Second {
			t.Error(got, time.Since(start))
		}
	})
}

// TestClientLeaves ends the connection at every step. Nothing is delivered before the end of
// the message has arrived.
func TestClientLeaves(t *testing.T) {
	dialogue := "EHLO client.test\r\nAUTH XOAUTH2 " + xoauth2(mailboxName, firstToken) + "\r\n" +
		"MAIL FROM:<joe@example.com>\r\nRCPT TO:<ann@example.net>\r\nDATA\r\n" + message
	for n := 0; n <= len(dialogue)+2; n += 1 + n/100 {
		d := &capturer{traits: Traits{FromHeader: true}}
		f := newFixture(t, d)
		conn, err := f.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, conn)
		io.WriteString(conn, (dialogue + ".\r")[:n])
		conn.Close()
		f.Close()
		f.smtp.Shutdown(t.Context())
		if len(d.messages()) > 0 {
			t.Fatalf("%d bytes: a message was delivered", n)
		}
	}
}

// TestStopDuringDelivery stops the gateway while the API has the request: the client hears
// no 250.
func TestStopDuringDelivery(t *testing.T) {
	f, fake := newGraph(t)
	gate := fake.Stop()
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com>", "250 ")
	c.say("RCPT TO:<ann@example.net>", "250 ")
	c.say("DATA", "354 ")
	c.send(stuffed(message))
	<-gate.Arrived
	f.Close()
	if got := c.reply(); strings.HasPrefix(got, "2") {
		t.Errorf("reply: %q", got)
	}
	close(gate.Leave)
}

// A failing API is never an accepted message: a client that hears 250 finds it at the API.
func TestNothingIsAcknowledgedInVain(t *testing.T) {
	f, fake := newGraph(t)
	for _, fault := range []mailapi.Fault{
		{Break: mailapi.BreakBefore}, {Break: mailapi.BreakAfter}, {Break: mailapi.BreakAfter, Accept: true},
		{Status: 200}, {Status: 204}, {Status: 301}, {Status: 401}, {Status: 403}, {Status: 418}, {Status: 500}, {Status: 504},
	} {
		fake.Fail(fault)
		if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); strings.HasPrefix(got, "2") {
			t.Errorf("%+v: %q", fault, got)
		}
		before := len(fake.Messages())
		if got := f.connect(t, nil).login().transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") || len(fake.Messages()) != before+1 {
			t.Errorf("after %+v: %q", fault, got)
		}
	}
}

// A message that comes too slowly ends the session. What follows is not read as commands.
func TestSlowData(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, f *fixture, fake *graph.Server) {
		f.Limits = Limits{Idle: time.Minute, Data: 5 * time.Minute}
		c := f.connect(t, nil).login()
		c.say("MAIL FROM:<joe@example.com>", "250 ")
		c.say("RCPT TO:<ann@example.net>", "250 ")
		c.say("DATA", "354 ")
		start := time.Now()
		var sent error
		for sent == nil {
			_, sent = io.WriteString(c.Conn, "MAIL FROM:<evil@example.com>\r\n")
			if time.Since(start) > time.Hour {
				t.Fatal("the session goes on")
			}
			if sent == nil {
				time.Sleep(50 * time.Second)
			}
			if c.closed() {
				break
			}
		}
		if took := time.Since(start); took > 6*time.Minute {
			t.Errorf("time: %v", took)
		}
		if len(fake.Messages()) > 0 {
			t.Error("a message was delivered")
		}
		if r := f.last(t); r.Result.Kind != Aborted {
			t.Errorf("report: %+v", r)
		}
	})
}

// closed reports whether the server has sent something and closed the connection.
func (c *client) closed() bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	defer c.SetReadDeadline(time.Time{})
	line, err := c.in.ReadLine()
	return err == nil && strings.HasPrefix(line, "421 ")
}

func TestIdle(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, f *fixture, _ *graph.Server) {
		c := f.connect(t, nil).login()
		start := time.Now()
		c.expect("421 4.4.2 ")
		if took := time.Since(start); took != DefaultIdle {
			t.Errorf("time: %v", took)
		}
	})
}

// TestRate checks that no more messages than allowed pass in any minute, and that the others
// are held for a bounded time.
func TestRate(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, f *fixture, fake *graph.Server) {
		f.account.Rate = &Rate{PerMinute: 30, Hold: 10 * time.Second}
		c := f.connect(t, nil).login()
		start := time.Now()
		for i := range 30 {
			time.Sleep(time.Second)
			if got := c.transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
				t.Fatal(i, got)
			}
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("time: %v", took)
		}
		if got := c.say("MAIL FROM:<joe@example.com>", "451 4.7.1 "); got == "" {
			t.Error("no reply")
		}
		time.Sleep(21 * time.Second) // the first one is 50 seconds old
		for i := range 3 {           // 10 seconds, and then one a second
			before := time.Now()
			if got := c.transmit(message, "ann@example.net"); !strings.HasPrefix(got, "250 ") {
				t.Fatal(i, got)
			}
			if took, want := time.Since(before), []time.Duration{10, 1, 1}[i]*time.Second; took != want {
				t.Errorf("message %d was held for %v, want %v", i, took, want)
			}
		}
	})
}

// TestNestedMail checks that a refused MAIL within a message changes nothing of it.
func TestNestedMail(t *testing.T) {
	f, _, c := newDevice(t, &Device{Senders: []string{"*@example.com"}})
	c.say("HELO device", "250")
	c.say("MAIL FROM:<ok@example.com>", "250 ")
	c.say("RCPT TO:<ann@example.net>", "250 ")
	c.say("MAIL FROM:<boss@evil.example>", "503 5.5.1 ")
	c.say("DATA", "354 ")
	c.say("Subject: x\r\n\r\nx\r\n.", "250 ")
	if r := f.last(t); r.Sender != "ok@example.com" || r.Recipients != 1 {
		t.Errorf("%+v", r)
	}
}

// TestMessageLimit checks that an account has a bounded number of messages at a time, also of
// clients that have left.
func TestMessageLimit(t *testing.T) {
	f, _ := newGraph(t)
	for range maxAccountMessages {
		f.connect(t, nil).login().say("MAIL FROM:<joe@example.com>", "250 ")
	}
	c := f.connect(t, nil).login()
	c.say("MAIL FROM:<joe@example.com>", "451 4.3.2 ")
}

// The context of Dial does not end the session.
func TestDialContext(t *testing.T) {
	f, _ := newGraph(t)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := f.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	line := make([]byte, 4)
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "220 " {
		t.Errorf("greeting: %q, %v", line, err)
	}
	f.Close()
	if _, err := f.Dial(t.Context()); err == nil {
		t.Error("a closed gateway accepts connections")
	}
}
