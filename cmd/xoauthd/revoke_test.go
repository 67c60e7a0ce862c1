package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mailSession logs alice in over IMAP, at a unix socket, with a password. The channel
// receives the next line, after which the client closes.
func mailSession(t *testing.T, socket, password string) <-chan string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	in := bufio.NewReader(c)
	fmt.Fprintf(c, "a LOGIN %s %s\r\n", alice, password)
	for line := ""; !strings.HasPrefix(line, "a OK"); {
		line, err = in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "a NO") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	next := make(chan string, 1)
	go func() {
		line, _ := in.ReadString('\n')
		c.Close()
		next <- line
	}()
	return next
}

// TestRevokeEndsSessions: revoke ends the sessions that the grant has logged in, and
// says how many.
func TestRevokeEndsSessions(t *testing.T) {
	for _, flag := range []string{"--local=false", "--local"} {
		t.Run(flag, func(t *testing.T) {
			p := newPlace(t)
			var hash strings.Builder
			if run(t.Context(), []string{"hash-password"}, strings.NewReader("correct-horse-battery\n"), &hash, io.Discard) != 0 {
				t.Fatal("hash-password fails")
			}
			socket := filepath.Join(filepath.Dir(p.file), "imap.sock")
			text, err := os.ReadFile(p.file)
			must(t, err)
			argon2id := regexp.MustCompile(`\$argon2id[^"']*`)
			text = argon2id.ReplaceAllLiteral(text, []byte(argon2id.FindString(hash.String())))
			text = regexp.MustCompile(`"127.0.0.1:0"`).ReplaceAllLiteral(text, []byte(`"unix:`+socket+`"`))
			must(t, os.WriteFile(p.file, text, 0o600))
			p.serve(t)
			for want, sessions := range map[string]int{"1 session of the account has ended": 1, "2 sessions of the account have ended": 2, "No session of the account was open": 0} {
				p.run(t, p.issue(t, alice), 0, "is authorized", "grant", "import", alice)
				var open []<-chan string
				for range sessions {
					open = append(open, mailSession(t, socket, "correct-horse-battery"))
				}
				p.run(t, "", 0, want, "revoke", "--yes", flag, alice)
				for _, next := range open {
					if line := <-next; !strings.HasPrefix(line, "* BYE [CONTACTADMIN]") {
						t.Errorf("the session ends with %q", line)
					}
				}
			}
		})
	}
}
