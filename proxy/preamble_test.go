package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// An addressed is a connection from an address.
type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

func tcpAddr(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func debugLog(log *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// visit runs a session of a client from an address, and returns its log line, at any level.
func visit(t *testing.T, l *Listener, from string, say func(net.Conn)) string {
	t.Helper()
	s, log := newTestServer(&scriptedAccount{})
	s.Log = debugLog(log)
	serveFrom(t, s, l, from, say)
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, `msg="session ended" `) {
			return line
		}
	}
	return "nothing is logged: " + log.String()
}

// serveFrom is serveOne, and checks that no connection or slot is left.
func serveFrom(t *testing.T, s *Server, l *Listener, from string, say func(net.Conn)) {
	t.Helper()
	serveOne(s, l, from, say)
	if conns, slots := s.conns.Len(), s.semaphore.Len(); conns != 0 || slots != 0 {
		t.Errorf("%d connections, and slots of %d limits are left", conns, slots)
	}
}

// serverTLS returns the TLS configurations of listener and client.
func serverTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue("localhost")
	if err != nil {
		t.Fatal(err)
	}
	server = &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true}
	return server, &tls.Config{ServerName: "localhost", RootCAs: authority.Pool()}
}

// hear reads a line, which must begin with want.
func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("%q, %v; want %s", line, err, want)
	}
}

// hearNothing expects the end of the connection, at once.
func hearNothing(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if said, err := io.ReadAll(c); len(said) > 0 || err != nil {
		t.Errorf("%q, %v", said, err)
	}
}

func within(c net.Conn, config *tls.Config) net.Conn { return tls.Client(c, config) }

func TestTLSAtConnect(t *testing.T) {
	const here, elsewhere = "127.0.0.1:1", "192.0.2.1:1"
	for _, test := range []struct {
		name string
		mode TLSMode
		from string
		say  func(t *testing.T, c net.Conn, config *tls.Config)
		took time.Duration
		log  string
	}{
		{"implicit TLS", ImplicitTLS, here, func(t *testing.T, c net.Conn, config *tls.Config) {
			hear(t, within(c, config), "* OK ")
		}, 0, `tls="TLS 1.3"`},
		{"implicit TLS, and the client sends nothing", ImplicitTLS, here, func(t *testing.T, c net.Conn, _ *tls.Config) {
			hearNothing(t, c)
		}, time.Minute, "result=timed_out"},
		{"a port check", ImplicitTLS, here, func(*testing.T, net.Conn, *tls.Config) {}, 0, "level=DEBUG"},
		{"plain text with implicit TLS", ImplicitTLS, here, func(t *testing.T, c net.Conn, _ *tls.Config) {
			fmt.Fprint(c, "a LOGIN x y\r\n")
			// An alert for a TLS client, and nothing of IMAP.
			c.SetReadDeadline(time.Now().Add(2 * time.Minute))
			if said, _ := io.ReadAll(c); bytes.Contains(said, []byte("BYE")) {
				t.Errorf("%q", said)
			}
		}, 0, "result=tls_failed"},
		{"a PROXY header before TLS", ImplicitTLS, here, func(t *testing.T, c net.Conn, _ *tls.Config) {
			fmt.Fprint(c, "PROXY TCP4 192.0.2.1 192.0.2.2 56324 993\r\n\x16\x03\x01")
			hearNothing(t, c)
		}, 0, "result=violation error=\"unexpected PROXY protocol header"},
		{"a binary PROXY header before TLS", ImplicitTLS, here, func(t *testing.T, c net.Conn, _ *tls.Config) {
			fmt.Fprint(c, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xac\x12\x00\x01\xac\x12\x00\x08\xdb\xf6\x03\xe1\x16\x03\x01")
			hearNothing(t, c)
		}, 0, "result=violation error=\"unexpected PROXY protocol header"},
		{"either: a PROXY header", AnyTLS, here, func(t *testing.T, c net.Conn, _ *tls.Config) {
			fmt.Fprint(c, "PROXY UNKNOWN\r\n")
			hear(t, c, "* OK ")
			hear(t, c, "* BYE [CLIENTBUG]")
		}, 0, "result=violation error=\"unexpected PROXY protocol header"},
		{"a client with old TLS only", ImplicitTLS, here, func(t *testing.T, c net.Conn, config *tls.Config) {
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			if err := tls.Client(c, config).Handshake(); err == nil {
				t.Error("the handshake succeeds")
			}
		}, 0, "result=tls_failed"},
		{"either: TLS", AnyTLS, here, func(t *testing.T, c net.Conn, config *tls.Config) {
			hear(t, within(c, config), "* OK ")
		}, 0, `tls="TLS 1.3"`},
		{"either: plain text", AnyTLS, here, func(t *testing.T, c net.Conn, _ *tls.Config) {
			hear(t, c, "* OK ")
		}, 500 * time.Millisecond, "result=no_login"},
		{"either: plain text from another machine", AnyTLS, elsewhere, func(t *testing.T, c net.Conn, _ *tls.Config) {
			hear(t, c, "* OK ")
		}, 2 * time.Second, "result=no_login"},
		{"either: a client that does not wait", AnyTLS, elsewhere, func(t *testing.T, c net.Conn, _ *tls.Config) {
			go fmt.Fprint(c, "a LOGOUT\r\n")
			hear(t, c, "* OK ")
		}, 0, "result=no_login"},
		{"STARTTLS does not wait", StartTLS, elsewhere, func(t *testing.T, c net.Conn, _ *tls.Config) {
			hear(t, c, "* OK ")
		}, 0, "result=no_login"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := serverTLS(t)
				start := time.Now()
				line := visit(t, &Listener{Protocol: "imap", TLS: server, TLSMode: test.mode}, test.from, func(c net.Conn) {
					test.say(t, c, client)
					if d := time.Since(start); d != test.took {
						t.Errorf("took %v", d)
					}
				})
				if !strings.Contains(line, test.log) {
					t.Error(line)
				}
			})
		})
	}
}

// TestProxyHeader checks the clients that a load balancer reports, and invalid headers.
func TestProxyHeader(t *testing.T) {
	for _, test := range []struct {
		name, from, header string
		want               string // the first line
		log                string
	}{
		{"IPv4", "192.0.2.7:1", "PROXY TCP4 198.51.100.1 192.0.2.7 40000 143\r\n",
			"* OK ", "client=198.51.100.1:40000 via=192.0.2.7:1 result=no_login "},
		{"IPv6", "192.0.2.7:1", "PROXY TCP6 2001:db8::1 2001:db8::7 40000 143\r\n",
			"* OK ", "client=[2001:db8::1]:40000 via=192.0.2.7:1 result=no_login "},
		{"a health check", "192.0.2.7:1", "PROXY UNKNOWN\r\n", "* OK ", "level=DEBUG msg=\"session ended\" protocol=imap id=1 client=192.0.2.7:1 result=no_login error="},
		{"a unix socket", "192.0.2.7:1", "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("x", 216),
			"* OK ", "client=192.0.2.7:1 result=no_login error="},
		{"damaged", "192.0.2.7:1", "PROXY TCP4 nowhere\r\n", "", "result=violation"},
		{"no header", "192.0.2.7:1", "a LOGOUT\r\n", "", "result=violation"},
		{"from another address", "198.51.100.1:1", "PROXY TCP4 127.0.0.1 127.0.0.1 40000 143\r\n", "* BYE [NOPERM] access denied",
			`client=198.51.100.1:1 result=forbidden error="198.51.100.1 is not one of proxy_protocol"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &Listener{Protocol: "imap", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
				line := visit(t, l, test.from, func(c net.Conn) {
					go io.WriteString(c, test.header)
					if test.want == "" {
						hearNothing(t, c)
						return
					}
					hear(t, c, test.want)
				})
				if !strings.Contains(line, test.log) {
					t.Error(line)
				}
			})
		})
	}
}

// TestClientCertificate checks that the log has the common name of the client certificate.
func TestClientCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := serverTLS(t)
		clients, err := ca.New()
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := clients.IssueWith(func(c *x509.Certificate) {
			c.Subject.CommonName = "scanner\n1"
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, "scanner")
		if err != nil {
			t.Fatal(err)
		}
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
		client.Certificates = []tls.Certificate{certificate}
		line := visit(t, &Listener{Protocol: "imap", TLS: server, TLSMode: ImplicitTLS}, "192.0.2.1:1", func(c net.Conn) {
			hear(t, within(c, client), "* OK ")
		})
		if !strings.Contains(line, `client_certificate="scanner 1"`) {
			t.Error(line)
		}
	})
}
