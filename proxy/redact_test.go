package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// TestConnectingRedacts checks that secrets are hidden in errors from before the dialogue:
// those of an outbound proxy, and the names in a certificate.
func TestConnectingRedacts(t *testing.T) {
	const token = "ya29a0zxq7wlkt3mvb9rpsd1"
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue(token+".example.com", "x"+token)
	if err != nil {
		t.Fatal(err)
	}
	// A pipe has no buffer: both sides would wait for each other until the timeout.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			far, err := ln.Accept()
			if err != nil {
				return // closed
			}
			tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake()
			far.Close()
		}
	}()
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"proxy": func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("malformed HTTP response " + token)
		},
		"certificate": func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newTestServer(nil)
			s.Limits.Step = 10 * time.Second
			err := s.CheckReachable(t.Context(), "imap", &Upstream{
				Host: "mail.example.com", Port: 993, Dial: dial,
				TLS:     &tls.Config{ServerName: "mail.example.com", RootCAs: authority.Pool()},
				Secrets: redact.New(token),
			})
			if err == nil || !strings.Contains(err.Error(), redact.Hidden) || strings.Contains(err.Error(), token) || strings.Contains(Reply(err), token) {
				t.Errorf("%v", err)
			}
		})
	}
}
