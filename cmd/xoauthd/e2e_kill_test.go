package main_test

import (
	"fmt"
	"net/http"
	"net/smtp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/graph"
	"github.com/xoauthd/xoauthd/internal/testing/mailapi"
)

// testKillDelivery kills the daemon at each step of a delivery, and then at times spread
// over a session. A client sends each message again that was not acknowledged, as MTAs do.
// The API must have accepted each acknowledged message once. It has the others once or,
// only if it had received the whole request before the kill, twice.
func testKillDelivery(t *testing.T, e *env) {
	k := newKilled(t, e)
	c := k.session(t)
	for _, m := range k.moments() {
		subject := "killed " + m.name
		m.send(t, c, subject)
		c = k.restart(t, c)
		if n := k.copies(subject); n != m.copies {
			t.Errorf("%s: the API has accepted the message %d times, want %d", subject, n, m.copies)
		}
	}
	k.spread(t, c)
	k.count(t)
}

// A killed is a daemon that is killed, and what its client knows.
type killed struct {
	*daemon
	api     *graph.Server
	answers atomic.Pointer[mailapi.Gate] // stops the answers of the API; nil: nothing does

	sent         []string        // subjects
	acknowledged map[string]bool // by subject, at the first attempt
	arrived      map[string]bool // by subject, at any attempt
}

func newKilled(t *testing.T, e *env) *killed {
	k := &killed{api: new(graph.Server), acknowledged: map[string]bool{}, arrived: map[string]bool{}}
	k.api.Check = e.tokenUser
	url := serveAPI(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.api.ServeHTTP(stoppedAnswer{w, r, k.answers.Load()}, r)
	}))
	k.daemon = e.newDaemonWith(t, func(c *daemonConfig) { c.API = url })
	k.authorize(t)
	return k
}

// A stoppedAnswer stops at a gate: the API has accepted the message, and has not answered.
type stoppedAnswer struct {
	http.ResponseWriter
	r    *http.Request
	gate *mailapi.Gate // may be nil
}

func (a stoppedAnswer) WriteHeader(status int) {
	if a.gate != nil {
		select {
		case a.gate.Arrived <- struct{}{}:
		case <-a.r.Context().Done():
		}
		<-a.r.Context().Done()
	}
	a.ResponseWriter.WriteHeader(status)
}

// A moment is a point of a delivery. send delivers up to it.
type moment struct {
	name   string
	send   func(t *testing.T, c *smtp.Client, subject string)
	copies int // that the API has, after the client has tried again
}

func (k *killed) moments() []moment {
	part := func(commands int) func(*testing.T, *smtp.Client, string) {
		return func(t *testing.T, c *smtp.Client, subject string) {
			t.Helper()
			k.sent = append(k.sent, subject)
			for _, command := range k.commands(c, subject)[:commands] {
				must(t, command())
			}
		}
	}
	return []moment{
		{"before MAIL", part(0), 1},
		{"after MAIL", part(1), 1},
		{"after RCPT", part(2), 1},
		{"in the middle of a large message", part(3), 1},
		{"before the API accepts", func(t *testing.T, c *smtp.Client, subject string) {
			gate := k.api.Stop()
			k.killAt(t, gate.Arrived, c, subject)
			k.api.Resume()
			poll(t, "the API to accept the message", func() bool { return k.copies(subject) == 1 })
		}, 2},
		{"before the API answers", func(t *testing.T, c *smtp.Client, subject string) {
			gate := &mailapi.Gate{Arrived: make(chan struct{})}
			k.answers.Store(gate)
			k.killAt(t, gate.Arrived, c, subject)
			k.answers.Store(nil)
		}, 2},
		{"after the reply", func(t *testing.T, c *smtp.Client, subject string) {
			must(t, k.deliver(c, subject))
			k.kill(t)
			if err := k.deliver(c, "the next message"); err == nil {
				t.Error("a killed daemon has acknowledged a message")
			}
		}, 1},
	}
}

// killAt sends a message, and kills the daemon when the API has arrived at a gate.
func (k *killed) killAt(t *testing.T, arrived <-chan struct{}, c *smtp.Client, subject string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- k.deliver(c, subject) }()
	select {
	case <-arrived:
	case err := <-done:
		t.Fatalf("%s: the client has the reply %v before the API was asked", subject, err)
	}
	k.kill(t)
	if err := <-done; err == nil {
		t.Errorf("%s: the message is acknowledged", subject)
	}
}

// spread kills the daemon at times spread over a session of some messages, which c begins.
func (k *killed) spread(t *testing.T, c *smtp.Client) {
	const kills, messages = 10, 4
	deliver := func(c *smtp.Client, name string) {
		for i := range messages {
			size := []string{"small", "large"}[i%2]
			if k.deliver(c, fmt.Sprintf("%s, %s message %d", name, size, i)) != nil {
				return
			}
		}
	}
	start := time.Now()
	deliver(c, "no kill")
	took := time.Since(start)
	for i := range kills {
		process := k.cmd.Process
		dead := make(chan struct{})
		time.AfterFunc(took*time.Duration(i)/kills, func() {
			defer close(dead)
			process.Kill()
		})
		deliver(c, fmt.Sprintf("kill %d", i))
		<-dead
		c = k.restart(t, c)
	}
	must(t, c.Quit())
}

// session begins a session and logs in.
func (k *killed) session(t *testing.T) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(address(k.smtp))
	must(t, err)
	must(t, c.Auth(smtp.PlainAuth("", k.user, k.password, "127.0.0.1")))
	return c
}

// commands returns the parts of a delivery, which end in the middle of the message and at
// its end.
func (k *killed) commands(c *smtp.Client, subject string) []func() error {
	message := k.message(subject)
	half := len(message) / 2
	return []func() error{
		func() error { return c.Mail(k.user) },
		func() error { return c.Rcpt(k.user) },
		func() error {
			if err := c.Text.PrintfLine("DATA"); err != nil {
				return err
			}
			if _, _, err := c.Text.ReadResponse(354); err != nil {
				return err
			}
			c.Text.W.WriteString(message[:half]) // its error is that of Flush
			return c.Text.W.Flush()
		},
		func() error {
			c.Text.W.WriteString(message[half:] + ".\r\n")
			if err := c.Text.W.Flush(); err != nil {
				return err
			}
			_, _, err := c.Text.ReadResponse(250)
			return err
		},
	}
}

// message returns a small message, or a large one, which the daemon stores in a file.
func (k *killed) message(subject string) string {
	text := apiMessage(k.user, subject) + "text\r\n"
	if strings.Contains(subject, "large") {
		text += string(large(600 << 10))
	}
	return text
}

// deliver sends a message for the first time.
func (k *killed) deliver(c *smtp.Client, subject string) error {
	k.sent = append(k.sent, subject)
	for _, command := range k.commands(c, subject) {
		if err := command(); err != nil {
			return err
		}
	}
	k.acknowledged[subject], k.arrived[subject] = true, true
	return nil
}

// restart ends the session c, kills the daemon if it is not dead yet, and starts it. In a new
// session, it sends the messages that were not acknowledged.
func (k *killed) restart(t *testing.T, c *smtp.Client) *smtp.Client {
	t.Helper()
	if k.cmd != nil {
		k.kill(t)
	}
	c.Close() // the error is that the daemon is gone
	k.start(t)
	c = k.session(t)
	for _, subject := range k.sent {
		if k.arrived[subject] {
			continue
		}
		for _, command := range k.commands(c, subject) {
			must(t, command())
		}
		k.arrived[subject] = true
	}
	return c
}

// copies returns how often the API has accepted a message.
func (k *killed) copies(subject string) (n int) {
	for _, m := range k.api.Messages() {
		if strings.Contains(string(m.Raw), "\r\nSubject: "+subject+"\r\n") {
			n++
		}
	}
	return n
}

// count compares what the client knows with what the API has accepted.
func (k *killed) count(t *testing.T) {
	t.Helper()
	twice := 0
	for _, subject := range k.sent {
		n := k.copies(subject)
		if n < 1 || n > 2 || n == 2 && k.acknowledged[subject] {
			t.Errorf("%s: the API has accepted it %d times, acknowledged at first: %v", subject, n, k.acknowledged[subject])
		}
		twice += n - 1
	}
	for _, m := range k.api.Messages() {
		_, subject, _ := strings.Cut(string(m.Raw), "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		compare(t, subject, string(m.Delivered), k.message(subject))
	}
	t.Logf("%d messages, %d acknowledged at the first attempt, %d accepted twice", len(k.sent), len(k.acknowledged), twice)
}
