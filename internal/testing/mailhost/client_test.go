package mailhost

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

const (
	alice = "alice@example.com"
	bob   = "bob=jr@example.com" // which OAUTHBEARER has to write otherwise
)

// longToken makes a line of nearly all that RFC 4954 section 4 allows.
var longToken = strings.Repeat("t", 9000)

// message has what a relay may spoil: dots at line starts and octets above 127.
const message = "From: alice@example.com\r\nSubject: caf\xe9\r\n\r\n" +
	".\r\n..two\r\n.one\r\n\xff\xfe\r\n"

// A provider is a Host that listens, with what a client needs.
type provider struct {
	*Host
	imap, smtp, smtps string // addresses
	config            *tls.Config
}

// start serves alice's mailbox, for the token "alice-token", and bob's. Eve's
// token opens a mailbox that is not here.
func start(t *testing.T) *provider {
	t.Helper()
	a, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := a.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"alice-token": alice, "bob-token": bob, "eve-token": "eve@example.com", longToken: alice}
	h := New(Config{
		Certificate: certificate,
		Check:       func(token string) (string, bool) { m, ok := tokens[token]; return m, ok },
		Mailboxes:   []string{alice, bob},
	})
	ended := make(chan error, 3)
	serve := func(serve func(net.Listener) error) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- serve(ln) }()
		return ln.Addr().String()
	}
	p := &provider{
		Host:   h,
		imap:   serve(h.ServeIMAP),
		smtp:   serve(h.ServeSMTP),
		smtps:  serve(h.ServeSMTPS),
		config: &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1"},
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}
	})
	return p
}

// xoauth2 is the client's side of the mechanism, as its description at Google
// has it.
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

func (p *provider) dialIMAP(t *testing.T, handler *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(p.imap, &imapclient.Options{TLSConfig: p.config, UnilateralDataHandler: handler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func submit(t *testing.T, c *smtp.Client, message, from string, to ...string) {
	t.Helper()
	if err := c.Mail(from, nil); err != nil {
		t.Fatal(err)
	}
	for _, to := range to {
		if err := c.Rcpt(to, nil); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, arrived <-chan uint32, want uint32) {
	t.Helper()
	select {
	case n := <-arrived:
		if n != want {
			t.Fatalf("%d messages, want %d", n, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("IDLE did not tell of message %d", want)
	}
}
