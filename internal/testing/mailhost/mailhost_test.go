package mailhost

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

func TestIMAPLogin(t *testing.T) {
	p := start(t)
	tests := []struct {
		name   string
		client sasl.Client
	}{
		{"XOAUTH2", xoauth2{alice, "alice-token"}},
		{"OAUTHBEARER", sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: alice, Token: "alice-token", Host: "localhost", Port: 993})},
		{"OAUTHBEARER without a user name", sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Token: "alice-token"})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := p.dialIMAP(t, nil)
			if err := c.Authenticate(test.client); err != nil {
				t.Fatal(err)
			}
			data, err := c.Select("INBOX", nil).Wait()
			if err != nil || data.NumMessages != 0 {
				t.Errorf("SELECT: %+v, %v", data, err)
			}
		})
	}
}

func TestSubmission(t *testing.T) {
	p := start(t)
	for _, secure := range []string{"STARTTLS", "implicit TLS"} {
		t.Run(secure, func(t *testing.T) {
			dial, address := smtp.DialStartTLS, p.smtp
			if secure != "STARTTLS" {
				dial, address = smtp.DialTLS, p.smtps
			}
			c, err := dial(address, p.config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Auth(xoauth2{alice, "alice-token"}); err != nil {
				t.Fatal(err)
			}
			submit(t, c, message, alice, alice)
			if err := c.Quit(); err != nil {
				t.Error(err)
			}
		})
	}

	c := p.dialIMAP(t, nil)
	if err := c.Authenticate(xoauth2{alice, "alice-token"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	text := &imap.FetchItemBodySection{Peek: true}
	got, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{text}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d messages arrived, want one for each way", len(got))
	}
	for _, m := range got {
		if b := m.FindBodySection(text); !bytes.Equal(b, []byte(message)) {
			t.Errorf("message %d is %q, want %q", m.SeqNum, b, message)
		}
	}
}

func TestLongLines(t *testing.T) {
	p := start(t)
	c, err := smtp.DialTLS(p.smtps, p.config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(xoauth2{alice, longToken}); err != nil {
		t.Error(err)
	}
}

func TestIdle(t *testing.T) {
	p := start(t)
	arrived := make(chan uint32, 8)
	idle := p.dialIMAP(t, &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				arrived <- *data.NumMessages
			}
		},
	})
	other := p.dialIMAP(t, nil)
	for _, c := range []*imapclient.Client{idle, other} {
		if err := c.Authenticate(xoauth2{bob, "bob-token"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := idle.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	command, err := idle.Idle()
	if err != nil {
		t.Fatal(err)
	}

	appended := other.Append("INBOX", int64(len(message)), nil)
	if _, err := io.WriteString(appended, message); err != nil {
		t.Fatal(err)
	}
	if err := appended.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := appended.Wait(); err != nil {
		t.Fatal(err)
	}
	wait(t, arrived, 1)

	sender, err := smtp.DialTLS(p.smtps, p.config)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if err := sender.Auth(xoauth2{alice, "alice-token"}); err != nil {
		t.Fatal(err)
	}
	submit(t, sender, message, alice, alice, bob, bob)
	wait(t, arrived, 2) // and not 3: bob is one recipient

	if err := command.Close(); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	if data, err := other.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait(); err != nil || *data.NumMessages != 2 {
		t.Errorf("STATUS: %+v, %v; want 2 messages", data, err)
	}
}

func TestClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p := start(t)
	idle := p.dialIMAP(t, nil)
	if err := idle.Authenticate(xoauth2{alice, "alice-token"}); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Idle(); err != nil {
		t.Fatal(err)
	}
	var open []net.Conn // of which none has said anything yet
	for _, address := range []string{p.imap, p.smtp, p.smtps} {
		open = append(open, dial(t, address))
	}
	if _, err := bufio.NewReader(open[1]).ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for _, c := range open {
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%v still sends: %d bytes", c.RemoteAddr(), n)
		}
	}
	<-idle.Closed()
	if c, err := net.Dial("tcp", p.imap); err == nil {
		c.Close()
		t.Error("the listener is open")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ServeSMTP(ln); err != nil {
		t.Errorf("ServeSMTP after Close: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after ServeSMTP after Close: %v", err)
	}
}

func TestLoopbackOnly(t *testing.T) {
	ln := &elsewhere{}
	err := New(Config{}).ServeIMAP(ln)
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1:993: not an address of this machine only") {
		t.Errorf("ServeIMAP: %v", err)
	}
	if !ln.closed {
		t.Error("the listener is open")
	}
}

// elsewhere is a listener on an address that the network can reach.
type elsewhere struct {
	net.Listener
	closed bool
}

func (e *elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 993} }
func (e *elsewhere) Close() error   { e.closed = true; return nil }
