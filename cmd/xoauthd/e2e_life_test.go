package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// restart stops the daemon and starts it again.
func (d *daemon) restart(t *testing.T) {
	t.Helper()
	d.stop(t)
	d.start(t)
}

// testDrain stops the daemon while a client sends a message of 50 MB.
func testDrain(t *testing.T, e *env) {
	d := e.authorized(t)
	message := "Subject: large\r\n\r\n" + string(large(largeSize))
	file := filepath.Join(d.dir, "large")
	must(t, os.WriteFile(file, []byte(message), 0o600))
	uploaded := make(chan result)
	go func() {
		uploaded <- d.try(t, command{}, "curl", "--silent", "--show-error",
			"--url", "smtp://"+address(d.smtp), "--user", d.user+":"+d.password,
			"--mail-from", d.user, "--mail-rcpt", d.user, "--upload-file", file, "--limit-rate", "10M")
	}()
	poll(t, "the upload to be under way", func() bool {
		return d.metric(t, sentUpstream) > 1<<20
	})
	must(t, d.cmd.Process.Signal(syscall.SIGTERM))
	poll(t, "the listeners to be closed", func() bool {
		c, err := net.Dial("tcp", address(d.smtp))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case r := <-uploaded:
		t.Fatalf("the upload ended before the daemon was stopped: %d %s", r.status, r.stderr)
	default:
	}
	if r := <-uploaded; r.status != 0 {
		t.Errorf("curl: exit status %d\n%s", r.status, r.stderr)
	}
	if err := end(d.cmd); err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
	d.cmd = nil
	d.delivered(t, d.user, 1)
	b, err := os.ReadFile(e.mail(t, d.user)[0])
	must(t, err)
	if !strings.HasSuffix(strings.ReplaceAll(string(b), "\n", "\r\n"), message[len("Subject: large"):]) {
		t.Errorf("the message was changed: %d octets", len(b))
	}
}

func testSecondDaemon(t *testing.T, e *env) {
	d := e.authorized(t)
	r := d.try(t, command{}, d.program, "serve", "--config", d.file)
	if r.status != 1 {
		t.Errorf("exit status %d", r.status)
	}
	d.said[d.dir+" stderr of a second daemon"] += r.stderr
	contains(t, "stderr", r.stderr, d.state, fmt.Sprintf("process %d", d.cmd.Process.Pid))
	d.worksEverywhere(t)
}

func testKill(t *testing.T, e *env) {
	d := e.authorized(t)
	before := e.provider.idp.Load().TokenRequests()
	d.kill(t)
	d.start(t)
	d.worksEverywhere(t)
	if n := e.provider.idp.Load().TokenRequests() - before; n != 0 {
		t.Errorf("%d requests came to the token endpoint", n)
	}

	// Once more, now that the refresh token has been rotated.
	d.expire(t)
	d.worksEverywhere(t)
	d.kill(t)
	d.start(t)
	d.expire(t)
	d.worksEverywhere(t)
}
