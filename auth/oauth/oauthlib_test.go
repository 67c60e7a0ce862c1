package oauth

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// TestResourceOwnerAtLibrary gets tokens from a server that is made with
// oauthlib, since the library of the other tests has no password grant.
func TestResourceOwnerAtLibrary(t *testing.T) {
	const python = "/usr/bin/python3" // of the system, whose package oauthlib is
	if err := exec.Command(python, "-c", "import oauthlib").Run(); err != nil {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatalf("oauthlib of %s: %v", python, err)
		}
		t.Skip("python3-oauthlib is not installed")
	}
	server := exec.Command(python, "testdata/password_grant.py")
	server.Env = append(os.Environ(),
		"CLIENT_ID=the client", "CLIENT_SECRET=top=secret", "USER_NAME=joe@example.com", "PASSWORD=pass & word")
	server.Stderr = t.Output()
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // which ends it
		server.Wait()
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Name: "example", OAuth: oauth2.Config{
		ClientID:     "the client",
		ClientSecret: "top=secret",
		Endpoint:     oauth2.Endpoint{TokenURL: "http://127.0.0.1:" + strings.TrimSpace(port) + "/token"},
		Scopes:       []string{"mail"},
	}}

	if g, err := p.Refresh(t.Context(), ResourceOwner{"joe@example.com", "pass & word"}, Grant{}); g.AccessToken == "" || err != nil {
		t.Errorf("grant %+v, %v", g, err)
	}
	var e *Error
	if _, err := p.Refresh(t.Context(), ResourceOwner{"joe@example.com", "wrong"}, Grant{}); !errors.As(err, &e) || e.Kind != Misconfigured || e.Code != "invalid_grant" {
		t.Errorf("a wrong password: %v", err)
	}
}
