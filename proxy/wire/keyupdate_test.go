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

// A relay goes on when the client changes its keys, and wants ours changed (RFC
// 8446 section 4.6.3). crypto/tls has no client that does so.
func TestKeyUpdate(t *testing.T) {
	needOpenSSL(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", ln.Addr().String(), "-tls1_3")
	say, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, shown := io.Pipe()
	client.Stdout, client.Stderr = shown, shown
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	beside(t, func() { client.Wait(); shown.Close() })
	lines := bufio.NewScanner(told)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("openssl does not say %s", text)
	}
	defer func() { say.Close(); io.Copy(io.Discard, told) }()

	s := relayed(t, ln)
	defer s.Close()
	for range 3 {
		io.WriteString(say, "K\n")
		await("KEYUPDATE")
		io.WriteString(say, "behind\n")
		if got, err := receiveAll(s, len("behind\n")); string(got) != "behind\n" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := s.Write([]byte("answered\n")); err != nil {
			t.Fatal(err)
		}
		await("answered")
	}
}

func needOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal("openssl is not installed, and XOAUTHD_E2E=required")
		}
		t.Skip("openssl is not installed")
	}
}

// relayed returns the stream of a client that begins TLS and says nothing yet.
func relayed(t *testing.T, ln net.Listener) *Stream {
	server, _ := ends(t)
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
