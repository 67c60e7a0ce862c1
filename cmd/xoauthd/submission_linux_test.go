package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// A submission is a submission server that accepts every login and message. After
// QUIT it closes without reading on: what the client has sent behind QUIT, be it only
// that it closes, then makes the system reset the connection and drop the replies that
// it has not sent yet. The reply to a message is one of those, as with a server that
// has Nagle's algorithm on.
type submission struct {
	ln  net.Listener
	tls *tls.Config

	accepted atomic.Int32 // connections
	mu       sync.Mutex
	messages []string
}

// newSubmission starts a server at the port that the target's provider has for SMTP.
func newSubmission(t *testing.T, c *targetConfig) *submission {
	t.Helper()
	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	trusted, err := os.OpenFile(filepath.Join(filepath.Dir(c.State), "ca.pem"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = trusted.Write(authority.PEM())
	must(t, errors.Join(err, trusted.Close()))
	s := &submission{tls: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	s.start(t, anyPort(t))
	c.UpstreamSMTP = s.ln.Addr().(*net.TCPAddr).Port
	return s
}

// start serves at ln until that is closed.
func (s *submission) start(t *testing.T, ln net.Listener) {
	s.ln = ln
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			go s.serve(conn.(*net.TCPConn))
		}
	}()
}

// received returns the messages in the order of their arrival.
func (s *submission) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.messages...)
}

func (s *submission) serve(conn *net.TCPConn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	var stream net.Conn = conn
	in := bufio.NewReader(stream)
	say := func(lines ...string) { // one write a line
		for _, line := range lines {
			io.WriteString(stream, line+"\r\n")
		}
	}
	say("220 localhost")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := append(strings.Fields(line), "", "")
		switch strings.ToUpper(words[0]) {
		case "EHLO":
			say("250-localhost", "250-PIPELINING", "250-CHUNKING", "250-STARTTLS", "250 AUTH XOAUTH2")
		case "STARTTLS":
			say("220 go")
			inside := tls.Server(sipping{conn}, s.tls)
			stream, in = inside, bufio.NewReader(inside)
		case "AUTH":
			say("235 in")
		case "DATA":
			say("354 go")
			var message strings.Builder
			for line != ".\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				message.WriteString(line)
			}
			s.keep(conn, message.String())
			say("250 taken")
		case "BDAT":
			size, _ := strconv.Atoi(words[1])
			message := make([]byte, size)
			if _, err := io.ReadFull(in, message); err != nil {
				return
			}
			s.keep(conn, string(message))
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// sipping is a connection of which no more is read than is needed, as OpenSSL does.
type sipping struct{ net.Conn }

func (s sipping) Read(p []byte) (int, error) { return s.Conn.Read(p[:min(len(p), 1)]) }

// keep takes its time, so that all that the client sends arrives meanwhile, and has
// the system hold back what is written from now on.
func (s *submission) keep(conn *net.TCPConn, message string) {
	time.Sleep(100 * time.Millisecond)
	if raw, err := conn.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, message)
}
