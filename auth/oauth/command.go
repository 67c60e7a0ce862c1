package oauth

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

	"github.com/xoauthd/xoauthd/internal/flow"
)

// A Command obtains tokens from a program that prints them, such as pizauth, oama, gcloud or
// az. It runs without a shell and with an empty standard input. It has only those parts of
// the daemon's environment that concern its files, its keyring and the network; "env" in
// front of it can set more.
type Command struct {
	Args    []string      // the program and its arguments
	Timeout time.Duration // 0 is 10 s; at most 30 s

	// Turns limits how many run at a time, by its capacity. All accounts of a provider
	// share it. nil is no limit.
	Turns chan struct{}
}

const (
	// commandTime is the default timeout. A login waits for it.
	commandTime = callTime

	// commandDelay is how long to wait for the end of the output after the program has
	// ended: it may have left a process, such as the agent of a keyring.
	commandDelay = time.Second

	// maxPrinted limits the output, in bytes.
	maxPrinted = 4 * maxToken
)

// Interactive returns false.
func (Command) Interactive() bool { return false }

func (c Command) token(ctx context.Context, p *Provider, _ Grant, r Resource) (answer, error) {
	if r != Mail {
		return nil, &Error{Kind: Misconfigured, Err: fmt.Errorf("command %s: prints tokens for the mail servers, not for %s", c.Args[0], r)}
	}
	if c.Turns != nil {
		select {
		case c.Turns <- struct{}{}:
			defer func() { <-c.Turns }()
		case <-ctx.Done():
			return nil, &Error{Kind: Temporary, Err: fmt.Errorf("command %s: too many run already", c.Args[0])}
		}
	}
	stdout, stderr, err := c.run(ctx)
	a, unreadable := readPrinted(stdout)
	if unreadable == nil {
		p.secrets().Add(a.text("access_token")) // also after a failure: its message may contain the token
	}
	if err == nil {
		err = unreadable
	}
	if err != nil {
		e := &Error{Kind: Temporary, Err: fmt.Errorf("command %s: %w", c.Args[0], err)}
		if stderr = OneLine(p.Redact(stderr)); stderr != "" {
			e.Err = fmt.Errorf("%w: %s", e.Err, stderr)
		}
		if cannotStart(err) {
			e.Kind = Misconfigured
		}
		return nil, e
	}
	return a, nil
}

// source differs for different commands: each may print tokens of another provider.
func (c Command) source() string {
	sum := sha256.Sum256([]byte(strings.Join(c.Args, "\x00")))
	return string(flow.Command) + " " + hex.EncodeToString(sum[:8])
}

// run returns the beginning of the output.
func (c Command) run(ctx context.Context) (stdout, stderr string, err error) {
	timeout := min(cmp.Or(c.Timeout, commandTime), RefreshTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, errs := limitedBuffer{max: maxPrinted}, limitedBuffer{max: maxText}
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
	case errors.As(err, &start): // its text repeats the name
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

// cannotStart reports whether the program does not exist or is not executable.
func cannotStart(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || errors.Is(err, exec.ErrDot) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOEXEC)
}

// commandEnv returns the environment of a program. The rest belongs to the daemon: its
// credentials, and the sockets of systemd.
func commandEnv(all []string) []string {
	env := []string{} // nil would be the whole environment
	for _, e := range all {
		if name, _, _ := strings.Cut(e, "="); passedOn(name) {
			env = append(env, e)
		}
	}
	return env
}

func passedOn(name string) bool {
	switch strings.ToUpper(name) { // proxy variables exist in both cases
	case "HOME", "USER", "LOGNAME", "PATH", "LANG", "TZ", "TMPDIR",
		"DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
		return true
	}
	return strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "XDG_")
}

// A limitedBuffer keeps the first max bytes and drops the rest, so that a program with much
// output does not block.
type limitedBuffer struct {
	text []byte
	max  int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.max-len(b.text))]...)
	return len(p), nil
}
