package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/proxy/dial"
)

// A mailServer is an upstream on loopback that accepts every token and command.
type mailServer struct {
	upstream *Upstream
	ln       net.Listener
	sessions sync.WaitGroup
}

func newMailServer(t testing.TB) *mailServer {
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{ln: ln, upstream: &Upstream{
		Provider: "example", Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port,
		TLS: &tls.Config{ServerName: "mail.example.com", RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12},
	}}
	m.sessions.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			m.sessions.Go(func() { serveMail(c) })
		}
	})
	return m
}

// close waits until all sessions have ended.
func (m *mailServer) close() {
	m.ln.Close()
	m.sessions.Wait()
}

func (m *mailServer) account() *scriptedAccount {
	return &scriptedAccount{upstream: m.upstream, user: "joe@example.com", password: "s3cret", tokens: []string{"t0ken"}}
}

func serveMail(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		tag, command, _ := strings.Cut(lines.Text(), " ")
		switch {
		case command == "LOGOUT":
			fmt.Fprintf(c, "* BYE bye\r\n%s OK bye\r\n", tag)
			return
		case strings.HasPrefix(command, "AUTHENTICATE "):
			fmt.Fprintf(c, "%s OK [CAPABILITY IMAP4rev1 IDLE] logged in\r\n", tag)
		default:
			fmt.Fprintf(c, "%s OK done\r\n", tag)
		}
	}
}

// TestSessionThroughProxy checks that a login goes through the outbound proxy.
func TestSessionThroughProxy(t *testing.T) {
	m := newMailServer(t)
	defer m.close()
	var tunnels atomic.Int32
	via := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server, err := net.Dial("tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			t.Errorf("%s %s: %v", r.Method, r.Host, err)
			return
		}
		defer server.Close()
		tunnels.Add(1)
		client, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(server, buffered)
		io.Copy(client, server)
	}))
	defer via.Close()
	address, err := url.Parse(via.URL)
	if err != nil {
		t.Fatal(err)
	}
	if m.upstream.Dial, err = dial.Through(address, nil); err != nil {
		t.Fatal(err)
	}
	s, _ := newTestServer(nil)
	if err := s.CheckLogin(t.Context(), "imap", m.upstream, "joe@example.com", "t0ken"); err != nil || tunnels.Load() != 1 {
		t.Errorf("%d connections through the proxy, %v", tunnels.Load(), err)
	}
}
