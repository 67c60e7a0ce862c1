package wire

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A stream continues after the client updates its keys and requests an update of the
// server's keys (RFC 8446 section 4.6.3). The client is OpenSSL, because crypto/tls
// does not start key updates.
func TestKeyUpdate(t *testing.T) {
	requireOpenSSL(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", ln.Addr().String(), "-tls1_3")
	stdin, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	received, shown := io.Pipe()
	client.Stdout, client.Stderr = shown, shown
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	runAlongside(t, func() { client.Wait(); shown.Close() })
	lines := bufio.NewScanner(received)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("openssl does not print %s", text)
	}
	defer func() { stdin.Close(); io.Copy(io.Discard, received) }()

	s := acceptStream(t, ln)
	defer s.Close()
	for range 3 {
		io.WriteString(stdin, "K\n")
		await("KEYUPDATE")
		io.WriteString(stdin, "behind\n")
		if got, err := receiveAll(s, len("behind\n")); string(got) != "behind\n" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := s.Write([]byte("answered\n")); err != nil {
			t.Fatal(err)
		}
		await("answered")
	}
}

func requireOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal("openssl is not installed, and XOAUTHD_E2E=required")
		}
		t.Skip("openssl is not installed")
	}
}

// acceptStream accepts a client that begins TLS and sends nothing yet.
func acceptStream(t *testing.T, ln net.Listener) *Stream {
	server, _ := tlsConfigs(t)
	ours, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := New(ours, time.Minute)
	if err := c.BeginTLS(server); err != nil {
		t.Fatal(err)
	}
	s, err := c.Stream()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
