package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/oauth2"
)

// A Command gets tokens from a program that prints them: a helper that is there
// already, such as pizauth, oama, gcloud or az. No shell is in between, and
// nothing comes to its standard input. Of the daemon's environment it has only
// what leads to its files, its keyring and the network; what else it needs can
// be set by "env" in front of it.
type Command struct {
	Args    []string      // the program, at least, and its arguments
	Timeout time.Duration // of 10 s if it is 0; at most 30 s

	// Turns has room for as many as may run at a time. All accounts of a provider
	// share it; nil is room for all.
	Turns chan struct{}
}

const (
	// commandTime is for helpers that ask the provider themselves: a login waits.
	commandTime = callTime

	// commandDelay is how long one is waited for that has ended, but has left a
	// process behind with its output open: the agent of a keyring, say.
	commandDelay = time.Second

	// maxPrinted is how much of its output is read: a token, and in JSON some
	// more.
	maxPrinted = 4 * maxToken
)

func (c Command) token(ctx context.Context, p *Provider) (*oauth2.Token, error) {
	if c.Turns != nil {
		select {
		case c.Turns <- struct{}{}:
			defer func() { <-c.Turns }()
		case <-ctx.Done():
			return nil, &Error{Kind: Passing, Err: fmt.Errorf("command %s: too many run already", c.Args[0])}
		}
	}
	stdout, stderr, err := c.run(ctx)
	token, unreadable := readPrinted(stdout)
	if unreadable == nil {
		p.secrets().Add(token.AccessToken) // even if the command failed: it may repeat the token
	}
	if err == nil {
		err = unreadable
	}
	if err != nil {
		e := &Error{Kind: Passing, Err: fmt.Errorf("command %s: %w", c.Args[0], err)}
		if stderr = oneLine(p.Redact(stderr)); stderr != "" {
			e.Err = fmt.Errorf("%w: %s", e.Err, stderr)
		}
		if cannotStart(err) {
			e.Kind = Misconfigured
		}
		return nil, e
	}
	return token, nil
}

// kind tells one command from another: neither has a client, and each may print
// the tokens of another provider.
func (c Command) kind() string {
	sum := sha256.Sum256([]byte(strings.Join(c.Args, "\x00")))
	return "command " + hex.EncodeToString(sum[:8])
}

// run returns the beginning of what the program says.
func (c Command) run(ctx context.Context) (stdout, stderr string, err error) {
	timeout := min(cmp.Or(c.Timeout, commandTime), refreshTime)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, errs := beginning{max: maxPrinted}, beginning{max: maxText}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = commandEnv(os.Environ())
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and its children
	cmd.WaitDelay = commandDelay

	err = cmd.Run()
	var start *exec.Error
	var system *fs.PathError
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("has not ended within %v", timeout)
	case errors.As(err, &start): // which says the name again
		err = start.Err
	case errors.As(err, &system):
		err = system.Err
	}
	switch {
	case errors.Is(err, syscall.EAGAIN): // of fork
		err = fmt.Errorf("%w: allow xoauthd more processes (TasksMax= in its unit, ulimit -u)", err)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: let xoauthd's user run it, and xoauthd's unit, too (an empty NoExecPaths=)", err)
	case cannotStart(err):
		err = fmt.Errorf("%w: install it, and give its full path", err)
	}
	return string(out.text), string(errs.text), err
}

// cannotStart reports whether err says that the program is not there, or is none
// that xoauthd can run.
func cannotStart(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOEXEC)
}

// commandEnv is what a program gets of the environment. The rest is the
// daemon's own: its credentials, and the sockets of systemd.
func commandEnv(all []string) []string {
	env := []string{} // nil would stand for all
	for _, e := range all {
		if name, _, _ := strings.Cut(e, "="); passedOn(name) {
			env = append(env, e)
		}
	}
	return env
}

func passedOn(name string) bool {
	switch strings.ToUpper(name) { // proxies are known in either case
	case "HOME", "USER", "LOGNAME", "PATH", "LANG", "TZ", "TMPDIR",
		"DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
		return true
	}
	return strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "XDG_")
}

// A beginning keeps the first bytes of what is written to it, and drops the
// rest: a program that says too much should not wait for somebody to read it.
type beginning struct {
	text []byte
	max  int
}

func (b *beginning) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.max-len(b.text))]...)
	return len(p), nil
}
