package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
	"github.com/xoauthd/xoauthd/proxy"
)

const (
	alice  = "alice@example.com"
	opaque = "ya29.A0AfB_byC-not-a-JWT-but-long-enough-to-be-one.of-the-others~0123456789"
)

// An env has, in memory, the servers that the sessions of an account connect to. Its time
// is that of the synctest bubble, so that tests can compare times exactly.
type env struct {
	t         *testing.T
	ca        *ca.CA
	servers   map[string]func(net.Conn) // by address
	addresses map[string]string         // of hosts
	subject   Subject
	secret    string
	status    auth.Status
	serving   sync.WaitGroup
}

// newEnv returns an env without faults.
func newEnv(t *testing.T, secret string) *env {
	t.Helper()
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	e := &env{
		t: t, ca: authority, secret: secret,
		servers:   make(map[string]func(net.Conn)),
		addresses: map[string]string{"imap.example.com": "192.0.2.1", "smtp.example.com": "192.0.2.2", "login.example.com": "192.0.2.3"},
		status: auth.Status{
			State: auth.Authorized, Identity: alice,
			Obtained: now.Add(-72 * time.Hour), Refreshed: now.Add(-10 * time.Minute), Expiry: now.Add(50 * time.Minute),
		},
	}
	e.subject = Subject{
		Account: alice, Enabled: true, Flow: "authorization_code", Remedy: "Open http://localhost:1180/authorize/alice@example.com",
		Provider: Provider{
			Name: "example", Title: "Example Mail", Proof: "client_secret", TokenURL: "https://login.example.com/token", Scopes: []string{"mail"},
			RootCAs: e.ca.Pool(), Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		},
		Listeners: []Listener{{Protocol: "imap", Address: "127.0.0.1:1143"}, {Protocol: "smtp", Address: "127.0.0.1:1587"}},
		Upstreams: []Upstream{
			{e.upstream("imap.example.com", 993, false), "imap", alice},
			{e.upstream("smtp.example.com", 587, true), "smtp", alice},
		},
		Status: func() auth.Status { return e.status },
		Token:  func(context.Context, string) (string, error) { return secret, nil },
		Hint:   func(err error) string { return "Hint: " + kindOf(err) + "." },
		Dial:   e.dial,
		Lookup: e.lookup,
	}
	t.Cleanup(e.serving.Wait) // when those of all servers are done
	e.host()
	e.servers["192.0.2.3:443"] = e.endpoint
	e.servers["127.0.0.1:1143"] = says("* OK xoauthd\r\n")
	e.servers["127.0.0.1:1587"] = says("220 xoauthd\r\n")
	return e
}

// kindOf returns what a hint depends on.
func kindOf(err error) string {
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var network *net.OpError
	var e *proxy.Error
	switch {
	case errors.As(err, &certificate):
		return "certificate"
	case errors.As(err, &dns):
		return "DNS"
	case errors.As(err, &network):
		return "network"
	case errors.As(err, &e):
		return string(e.Result)
	}
	return "nothing is known"
}

func (e *env) upstream(host string, port int, starttls bool) *proxy.Upstream {
	return &proxy.Upstream{Provider: "example", Host: host, Port: port, STARTTLS: starttls,
		TLS: &tls.Config{ServerName: host, RootCAs: e.ca.Pool(), MinVersion: tls.VersionTLS12}}
}

// certificate issues a certificate for name after change has modified it.
func (e *env) certificate(name string, change func(*x509.Certificate)) tls.Certificate {
	e.t.Helper()
	c, err := e.ca.IssueWith(change, name)
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

func right(*x509.Certificate) {}

// host starts the mail servers.
func (e *env) host() {
	for name, serve := range map[string]func(*mailhost.Host, net.Listener) error{
		"imap.example.com:993": (*mailhost.Host).ServeIMAP,
		"smtp.example.com:587": (*mailhost.Host).ServeSMTP,
	} {
		host, _, _ := strings.Cut(name, ":")
		h := mailhost.New(mailhost.Config{
			Certificate: e.certificate(host, right),
			Check:       func(token string) (string, bool) { return alice, token == e.secret },
			Mailboxes:   []string{alice},
		})
		ln := newListener()
		e.serving.Go(func() {
			if err := serve(h, ln); err != nil {
				e.t.Error(err)
			}
		})
		e.t.Cleanup(func() { h.Close() })
		address := strings.Replace(name, host, e.addresses[host], 1)
		e.servers[address] = func(c net.Conn) { ln.conns <- c }
	}
}

// endpoint is the token endpoint, which refuses HEAD.
func (e *env) endpoint(c net.Conn) {
	ln := newListener()
	ln.conns <- c
	s := &http.Server{
		Handler:  http.NotFoundHandler(),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	config := &tls.Config{Certificates: []tls.Certificate{e.certificate("login.example.com", right)}, NextProtos: []string{"http/1.1"}}
	e.t.Cleanup(func() { s.Close() })
	_ = s.Serve(tls.NewListener(ln, config))
}

// says returns a server that sends text and waits for the client to close.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
}

// secure returns serve over TLS with certificate.
func secure(certificate tls.Certificate, serve func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		defer s.Close()
		if s.Handshake() == nil {
			serve(s)
		}
	}
}

// script is a server that greets, and answers each line that begins with the
// first of a pair with the second; in that, TAG is the line's first word.
func script(greeting string, pairs ...string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, greeting+"\r\n")
		for line := range lines(c) {
			tag, command, _ := strings.Cut(line, " ")
			for i := 0; i < len(pairs); i += 2 {
				if strings.HasPrefix(line, pairs[i]) || strings.HasPrefix(command, pairs[i]) {
					answer := strings.NewReplacer("TAG", tag, "LINE", line).Replace(pairs[i+1])
					_, _ = io.WriteString(c, answer+"\r\n")
					break
				}
			}
		}
		c.Close()
	}
}

// greeted sends the greeting and reads lines.
func greeted(c net.Conn, greeting string) func(yield func(string) bool) {
	_, _ = io.WriteString(c, greeting+"\r\n")
	return lines(c)
}

func lines(c net.Conn) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var line []byte
		for b := make([]byte, 1); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			if b[0] != '\n' {
				line = append(line, b[0])
				continue
			}
			if !yield(strings.TrimRight(string(line), "\r")) {
				return
			}
			line = nil
		}
	}
}

func (e *env) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	a, known := e.addresses[host]
	if !known {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(a), netip.MustParseAddr("2001:db8::1")}, nil
}

func (e *env) dial(_ context.Context, network, address string) (net.Conn, error) {
	if network != "unix" {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if a, known := e.addresses[host]; known {
			address = net.JoinHostPort(a, port)
		}
	}
	serve := e.servers[address]
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: place(address), Err: errors.New("connect: connection refused")}
	}
	here, there := net.Pipe()
	c := &pipe{Conn: here, to: place(address), sent: make(chan []byte, 64), closed: make(chan struct{})}
	e.t.Cleanup(func() { c.Close(); there.Close() })
	e.serving.Go(func() { serve(there) })
	e.serving.Go(c.pump)
	return c, nil
}

// A place is an address.
type place string

func (place) Network() string  { return "tcp" }
func (n place) String() string { return string(n) }

// A pipe is a connection whose writes do not wait for the reader: when both ends of TLS
// close at once, each would wait for the other.
type pipe struct {
	net.Conn
	to     place
	sent   chan []byte
	closed chan struct{}
	once   sync.Once
}

func (p *pipe) RemoteAddr() net.Addr { return p.to }

func (p *pipe) Write(b []byte) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	case p.sent <- slices.Clone(b):
	}
	select {
	case <-p.closed: // when both could be, either may have been chosen
		return 0, net.ErrClosed
	default:
		return len(b), nil
	}
}

func (p *pipe) pump() {
	for {
		select {
		case b := <-p.sent:
			_, _ = p.Conn.Write(b) // an error means that the peer does not read
		case <-p.closed:
			return
		}
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Conn.Close()
}

// A listener accepts the connections that it is given.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return place("pipe") }

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// examine examines the subject, and returns the report as text and as JSON. It fails the
// test if either contains the secret.
func (e *env) examine() (r *Report, text, object string) {
	e.t.Helper()
	r = NewReport(e.subject.Account)
	var b strings.Builder
	ok := Examine(e.t.Context(), e.subject, func(s step.Step) {
		r.Add(s)
		if err := step.Print(&b, s); err != nil {
			e.t.Error(err)
		}
	})
	if ok != r.OK {
		e.t.Errorf("Examine says %v, and its report %v", ok, r.OK)
	}
	b.WriteString(r.Verdict() + "\n")
	encoded, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, told := range []string{b.String(), string(encoded)} {
		for _, form := range formsOf(e.secret) {
			if strings.Contains(told, form) {
				e.t.Errorf("the secret is told, as %s:\n%s", form, told)
			}
		}
		if strings.ContainsFunc(told, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x202e }) {
			e.t.Errorf("control characters are told: %q", told)
		}
	}
	return r, b.String(), string(encoded)
}

// formsOf returns the encodings of a secret and of its parts.
func formsOf(secret string) []string {
	forms := []string{secret, secret[:len(secret)/2], secret[len(secret)/2:], hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)}
	for before := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", before) + secret))
		forms = append(forms, b[before+2:len(b)-4])
	}
	return forms
}

// findStep returns the step with a name.
func findStep(t *testing.T, r *Report, name string) step.Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no step %q", name)
	return step.Step{}
}
