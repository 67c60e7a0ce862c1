package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// bindRole listens at an address and prints "bound" until its input ends, or
// prints why it cannot.
func bindRole(args []string) error {
	if len(args) != 1 {
		return errors.New("want an address")
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Println(err)
		return nil
	}
	defer ln.Close()
	fmt.Println("bound")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// hold runs bindRole as the attacker until the test or release ends it.
func (d *target) hold(t *testing.T, address string) (release func()) {
	t.Helper()
	cmd := d.as(t, attackerUser, "bind", address)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "bound\n" {
		t.Fatalf("the attacker cannot bind %s: %q, %v", address, line, err)
	}
	return func() {
		must(t, stdin.Close())
		must(t, cmd.Wait())
	}
}

// refuses starts the daemon and returns its output. It ends the test if the daemon serves.
func (d *target) refuses(t *testing.T, status int) string {
	t.Helper()
	cmd := d.command(t, buildProgram(t), "serve", "--config", d.file)
	defer time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() }).Stop()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != status {
		t.Fatalf("the daemon ended with %v, want status %d:\n%s", err, status, out)
	}
	return string(out)
}

// TestAttackLocalhost checks that the daemon does not start if another user listens at an
// address of localhost. Links and redirect URIs name localhost, so that user would receive
// authorization codes, cookies and passwords.
func TestAttackLocalhost(t *testing.T) {
	t.Parallel()
	d := newTarget(t, func(c *targetConfig) {
		_, port, err := net.SplitHostPort(c.Metrics)
		must(t, err)
		c.Metrics = "localhost:" + port
	})
	for _, port := range []int{d.web, d.metrics} {
		for _, host := range []string{"127.0.0.1", "[::1]", "[::]", "0.0.0.0"} {
			address := fmt.Sprintf("%s:%d", host, port)
			if said := d.output(t, attackerUser, "bind", address); !strings.Contains(said, "address already in use") {
				t.Errorf("while the daemon runs, the attacker binds %s: %s", address, said)
			}
		}
	}
	d.stop(t)
	for what, port := range map[string]int{"[web]": d.web, "[metrics]": d.metrics} {
		for _, host := range []string{"127.0.0.1", "[::1]", "[::]"} {
			address := fmt.Sprintf("%s:%d", host, port)
			release := d.hold(t, address)
			said := d.refuses(t, exitFailed)
			if !strings.Contains(said, what) || !strings.Contains(said, fmt.Sprintf(":%d: bind: address already in use: a program of the user %s uses this port", port, attackerUser)) {
				t.Errorf("while the attacker holds %s, the daemon says:\n%s", address, said)
			}
			release()
		}
	}
	d.start(t, 0)
	d.logIn(t)
}
