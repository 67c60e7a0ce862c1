package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// guessRole guesses passwords by IMAP, one on each connection, until it is killed. It
// begins a fixed number of connections a second, without waiting for replies. It prints a
// line for each 20 guesses.
func guessRole(args []string) error {
	if len(args) != 4 {
		return errors.New("want port, user name, guesses a second and how long each waits")
	}
	rate, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	wait, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	for guesses := 1; ; guesses++ {
		go sayOnce(args[0], fmt.Sprintf("a LOGIN %q %q\r\n", args[1], rand.Text()), wait)
		if guesses%20 == 0 {
			fmt.Println(guesses)
		}
		time.Sleep(time.Second / time.Duration(rate))
	}
}

// tokenRole tries access tokens that the mail server refuses, on 20 connections at once,
// until it is killed. It prints the replies.
func tokenRole(args []string) error {
	if len(args) != 2 {
		return errors.New("want port and user name")
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for {
				fmt.Println(sayOnce(args[0], xoauth2(args[1], rand.Text()), time.Minute))
			}
		})
	}
	all.Wait()
	return nil
}

// tokenLoginRole logs in with an access token, and prints the reply.
func tokenLoginRole(args []string) error {
	if len(args) != 3 {
		return errors.New("want port, user name and token")
	}
	fmt.Println(sayOnce(args[0], xoauth2(args[1], args[2]), time.Minute))
	return nil
}

func xoauth2(user, token string) string {
	return "a AUTHENTICATE XOAUTH2 " + base64.StdEncoding.EncodeToString([]byte("user="+user+"\x01auth=Bearer "+token+"\x01\x01")) + "\r\n"
}

// sayOnce sends one IMAP command with the tag a, and returns its tagged response, or ""
// after a time-out.
func sayOnce(port, command string, wait time.Duration) string {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(wait))
	fmt.Fprint(c, command)
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "a ") {
			return lines.Text()
		}
	}
	return ""
}

// attack runs a role as a user until the test ends, and waits until it prints a line.
func (d *target) attack(t *testing.T, user, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := d.as(t, user, role, args...)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	first := make(chan bool, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case first <- true:
			default:
			}
		}
		close(first)
	}()
	select {
	case ok := <-first:
		if !ok {
			t.Fatalf("the attack by %s ended", role)
		}
	case <-time.After(time.Minute):
		t.Fatalf("the attack by %s printed nothing", role)
	}
	return cmd
}

// While another local user guesses passwords and the daemon is restarted, a mail client
// must log in within its usual time: at first, after each restart, and later.
func TestAttackGuesses(t *testing.T) {
	for _, tt := range []struct{ name, user, rate, wait string }{
		{"20 a second", targetAccount, "20", "1m"},
		{"100 a second", targetAccount, "100", "1m"},
		{"100 a second, hanging up", targetAccount, "100", "30ms"},
		{"100 a second for another name", "nobody@example.com", "100", "1m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newTarget(t, nil)
			d.attack(t, attackerUser, "guess", strconv.Itoa(d.imap), tt.user, tt.rate, tt.wait)
			d.logIn(t) // which refreshes the token
			for range 2 {
				d.stop(t)
				d.start(t, 0)
				time.Sleep(2 * time.Second) // so that guesses wait before the first login
				for range 3 {
					if took := d.logIn(t); took > time.Second {
						t.Errorf("a login took %v", took)
					}
				}
			}
		})
	}
}

// After a restart, xoauthd still recognizes a password: a mail client logs in even while
// another program of the same local user guesses.
func TestAttackGuessesOfSameUser(t *testing.T) {
	d := newTarget(t, nil)
	d.logIn(t)
	d.stop(t)
	d.start(t, 0)
	d.attack(t, programUser, "guess", strconv.Itoa(d.imap), targetAccount, "20", "1m")
	time.Sleep(2 * time.Second)
	for range 3 {
		if took := d.logIn(t); took > time.Second {
			t.Errorf("a login took %v", took)
		}
	}
}

// While another local user tries invalid tokens, a mail client logs in with its own token.
func TestAttackTokens(t *testing.T) {
	d := newTarget(t, func(c *targetConfig) { c.Listeners = "provider = \"example\"\nclient_tokens = true" })
	token, _, _, err := d.provider.Issue(targetAccount)
	must(t, err)
	d.attack(t, attackerUser, "tokens", strconv.Itoa(d.imap), targetAccount)
	for range 10 {
		start := time.Now()
		said := d.output(t, programUser, "token-login", strconv.Itoa(d.imap), targetAccount, token)
		if took := time.Since(start); !strings.HasPrefix(said, "a OK ") || took > 5*time.Second {
			t.Errorf("the login was answered %q after %v", said, took)
		}
	}
}
