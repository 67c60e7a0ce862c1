package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/children"
)

func TestMain(m *testing.M) {
	children.Supervise()
	goleak.VerifyTestMain(m)
}

// dialThrough connects through via to address.
func dialThrough(t *testing.T, via *url.URL, authority *ca.CA, address string) (net.Conn, error) {
	t.Helper()
	dial, err := Through(via, authority.Pool())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return dial(ctx, "tcp", address)
}

// startServer accepts connections until the test ends.
func startServer(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// startGreeter starts a mail server that sends a greeting.
func startGreeter(t *testing.T) (address string) {
	return startServer(t, func(c net.Conn) {
		io.WriteString(c, "* OK hello\r\n")
		io.Copy(io.Discard, c)
	})
}

// expectGreeting fails the test unless c receives the greeting.
func expectGreeting(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "* OK hello\r\n" {
		t.Errorf("greeting: %q, %v", line, err)
	}
}

func newAuthority(t *testing.T) *ca.CA {
	t.Helper()
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// unusedPort returns a free port.
func unusedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// startProxy runs a program that listens on a loopback port, until the test ends. If the
// program is missing, the test is skipped, unless XOAUTHD_E2E requires it.
func startProxy(t *testing.T, port, name string, args ...string) (address string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address = net.JoinHostPort("127.0.0.1", port)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}

// realProxies has the real proxies by scheme. They require the user joe and the password s3cret.
func realProxies(t *testing.T) map[string]func(t *testing.T) string {
	return map[string]func(*testing.T) string{
		"socks5": func(t *testing.T) string {
			port := unusedPort(t)
			return startProxy(t, port, "microsocks", "-i", "127.0.0.1", "-p", port, "-u", "joe", "-P", "s3cret")
		},
		"http": func(t *testing.T) string {
			port, file := unusedPort(t), filepath.Join(t.TempDir(), "tinyproxy.conf")
			config := fmt.Sprintf("Listen 127.0.0.1\nPort %s\nBasicAuth joe s3cret\nLogFile %q\n", port, file+".log")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			return startProxy(t, port, "tinyproxy", "-d", "-c", file)
		},
	}
}

// TestRealProxies checks that microsocks and tinyproxy connect to a server by its name,
// that its greeting is not lost, and that errors have hints.
func TestRealProxies(t *testing.T) {
	for scheme, start := range realProxies(t) {
		t.Run(scheme, func(t *testing.T) {
			at, authority := start(t), newAuthority(t)
			_, port, _ := net.SplitHostPort(startGreeter(t))
			server := net.JoinHostPort("localhost", port)
			via := &url.URL{Scheme: scheme, Host: at, User: url.UserPassword("joe", "s3cret")}
			c, err := dialThrough(t, via, authority, server)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := c.(*net.TCPConn); !ok {
				t.Errorf("the connection is a %T", c)
			}
			expectGreeting(t, c)

			for name, via := range map[string]*url.URL{
				"a wrong password": {Scheme: scheme, Host: at, User: url.UserPassword("joe", "wr0ng")},
				"no password":      {Scheme: scheme, Host: at},
			} {
				if _, err := dialThrough(t, via, authority, server); err == nil || !strings.Contains(err.Error(), " proxy "+at+": ") ||
					!strings.Contains(hint(err), "password") || strings.Contains(err.Error(), "wr0ng") {
					t.Errorf("%s: %v (%s)", name, err, hint(err))
				}
			}
			if _, err := dialThrough(t, via, authority, net.JoinHostPort("127.0.0.1", unusedPort(t))); err == nil || hint(err) == "" {
				t.Errorf("a server that is not there: %v (%s)", err, hint(err))
			}
		})
	}
}

// TestSecureProxy checks TLS to the proxy. The greeting of the mail server comes in the
// same record as the response to CONNECT.
func TestSecureProxy(t *testing.T) {
	authority := newAuthority(t)
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	at := startServer(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		for lines := bufio.NewScanner(s); lines.Scan() && lines.Text() != ""; {
		}
		io.WriteString(s, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 soon\r\nX: y\r\n\r\nHTTP/1.1 200 fine\r\nX: y\r\n\r\n* OK hello\r\n")
		io.Copy(io.Discard, s)
	})
	c, err := dialThrough(t, &url.URL{Scheme: "https", Host: at}, authority, "imap.example.com:993")
	if err != nil {
		t.Fatal(err)
	}
	expectGreeting(t, c)
	_, err = dialThrough(t, &url.URL{Scheme: "https", Host: at}, newAuthority(t), "imap.example.com:993")
	if err == nil || !strings.Contains(err.Error(), "HTTPS proxy "+at+": TLS: ") || !strings.Contains(hint(err), "ca_file") {
		t.Errorf("%v (%s)", err, hint(err))
	}
}

// TestProxyMisbehaves checks that errors name the proxy, have a hint, and do not contain
// the password.
func TestProxyMisbehaves(t *testing.T) {
	for _, test := range []struct{ name, scheme, answer, want, hint string }{
		{"wants another password", "http", "HTTP/1.1 407 Basic am9lOnMzY3JldA==\r\n\r\n", "407 Proxy Authentication Required", "user name and password"},
		{"does not allow the port", "http", "HTTP/1.0 403 no\r\n\r\n", "403 Forbidden", "allow CONNECT"},
		{"does not reach the server", "http", "HTTP/1.1 502 no\r\n\r\n", "502 Bad Gateway", "cannot reach the mail server"},
		{"is a web server", "http", "HTTP/1.1 404 no\r\n\r\n", "404 Not Found", "http://, https:// and socks5://"},
		{"is a mail server", "http", "* OK hello\r\n", "malformed HTTP", "http://, https:// and socks5://"},
		{"closes", "http", "", "no whole answer to CONNECT", "http://, https:// and socks5://"},
		{"sends endless headers", "http", "HTTP/1.1 200 yes\r\n" + strings.Repeat("X: y\r\n", maxProxyAnswer), "no whole answer", "http://, https:// and socks5://"},
		{"sends endless interim responses", "http", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxProxyAnswer), "answer to CONNECT", "http://, https:// and socks5://"},
		{"has no TLS", "https", "HTTP/1.1 400 no\r\n\r\n", "TLS: ", "most want http://"},
		{"is SOCKS4", "socks5", "\x00\x5a", "unexpected protocol version", "user name and password"},
		{"does not accept passwords", "socks5", "\x05\xff", "no acceptable authentication methods", "user name and password"},
		{"does not connect", "socks5", "\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", "not allowed by ruleset", "user name and password"},
		{"closes early", "socks5", "\x05\x00", "EOF", "user name and password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := startServer(t, func(c net.Conn) {
				c.Read(make([]byte, 4<<10))
				io.WriteString(c, test.answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			})
			via := &url.URL{Scheme: test.scheme, Host: at, User: url.UserPassword("joe", "s3cret")}
			_, err := dialThrough(t, via, newAuthority(t), "imap.example.com:993")
			switch {
			case err == nil:
				t.Fatal("no error")
			case !strings.Contains(err.Error(), " proxy "+at+": ") || !strings.Contains(err.Error(), test.want):
				t.Errorf("err = %v, want %s", err, test.want)
			case strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "am9l"):
				t.Errorf("the error contains the password: %v", err)
			}
			if !strings.Contains(hint(err), test.hint) {
				t.Errorf("hint = %s, want %s", hint(err), test.hint)
			}
		})
	}
}

// TestSilentProxy checks that a dial through a silent proxy ends with its context.
func TestSilentProxy(t *testing.T) {
	at := startServer(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for _, scheme := range []string{"http", "https", "socks5"} {
		dial, err := Through(&url.URL{Scheme: scheme, Host: at}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = dial(ctx, "tcp", "imap.example.com:993")
		cancel()
		if err == nil || !strings.HasSuffix(err.Error(), " proxy "+at+": context deadline exceeded") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestThrough(t *testing.T) {
	closed := net.JoinHostPort("127.0.0.1", unusedPort(t))
	_, err := dialThrough(t, &url.URL{Scheme: "http", Host: closed}, newAuthority(t), "imap.example.com:993")
	if err == nil || !strings.Contains(err.Error(), "HTTP proxy "+closed+": dial tcp") || !strings.Contains(hint(err), "cannot be reached") {
		t.Errorf("%v (%s)", err, hint(err))
	}
	if _, err := Through(&url.URL{Scheme: "ftp", Host: "x"}, nil); err == nil {
		t.Error("Through accepts the scheme ftp")
	}
}

// hint returns the hint of err, or "".
func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
