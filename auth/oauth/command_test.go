package oauth

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script returns the path of a program for the shell.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "helper")
	writeFile(t, path, "#!/bin/sh\n"+text+"\n", 0o700)
	return path
}

func TestCommand(t *testing.T) {
	for name, text := range map[string]string{
		"a line":                           `echo token1`,
		"a line, and remarks":              `echo a remark >&2; echo token1`,
		"JSON":                             `echo '{"accessToken":"token1","expires_in":3600}'`,
		"its arguments, unread by a shell": `[ "$1" = '$HOME; exit 1' ] && [ $# = 1 ] && echo token1`,
		"no input":                         `read line || echo token1`,
		"more than is read":                `echo token1; head -c 1000000 /dev/zero`,
		"a process left behind":            `sleep 60 & echo $! > "$0.pid"; echo token1`,
	} {
		t.Run(name, func(t *testing.T) {
			path := script(t, text)
			g, err := newProvider(nil).Refresh(t.Context(), Command{Args: []string{path, "$HOME; exit 1"}}, Grant{})
			if g.AccessToken != "token1" || err != nil {
				t.Errorf("token = %q, %v", g.AccessToken, err)
			}
			if pid, err := os.ReadFile(path + ".pid"); err == nil {
				end(t, string(pid))
			}
		})
	}
}

// end ends a process that a script has started.
func end(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Errorf("process %d: %v", n, err)
	}
}

func TestCommandFails(t *testing.T) {
	for name, tt := range map[string]struct {
		text string // "" for no file
		mode os.FileMode
		want string // after the name of the command
		kind Kind
	}{
		"exit status":          {"echo secret-token; exit 3", 0o700, "exit status 3", Temporary},
		"its own words":        {"echo secret-token; echo >&2; echo 'log in:\tgcloud auth login' >&2; echo more >&2; exit 1", 0o700, "exit status 1: log in: gcloud auth login more", Temporary},
		"signal":               {"kill -TERM $$", 0o700, "signal: terminated", Temporary},
		"no token":             {"echo secret token; echo who are you? >&2", 0o700, "has printed no token: who are you?", Temporary},
		"not there":            {"", 0, "no such file or directory: install it, and give its full path", Misconfigured},
		"not executable":       {"echo token1", 0o600, "permission denied: let xoauthd's user run it, and xoauthd's unit, too (an empty NoExecPaths=)", Misconfigured},
		"too slow":             {"echo secret-token; echo who are you? >&2; read x < \"$0.fifo\"", 0o700, "has not ended within 1s: who are you?", Temporary},
		"too slow, in a child": {"(read x < \"$0.fifo\"); true", 0o700, "has not ended within 1s", Temporary},
	} {
		t.Run(name, func(t *testing.T) {
			path := script(t, tt.text)
			if err := syscall.Mkfifo(path+".fifo", 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			if tt.text == "" {
				path += ".none"
			}
			command := Command{Args: []string{path}}
			if strings.HasPrefix(name, "too slow") {
				command.Timeout = time.Second
			}
			start := time.Now()
			_, err := newProvider(nil).Refresh(t.Context(), command, Grant{})
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind || err.Error() != "command "+path+": "+tt.want {
				t.Errorf("err = %v, want %s", err, tt.want)
			}
			// A child that went on would have the pipes open for commandDelay.
			if d := time.Since(start); command.Timeout > 0 && d >= command.Timeout+commandDelay {
				t.Errorf("after %v", d)
			}
		})
	}
}

func TestCommandIsNotOnThePath(t *testing.T) {
	_, err := Command{Args: []string{"xoauthd-none"}}.token(t.Context(), new(Provider), Grant{}, Mail)
	want := "command xoauthd-none: executable file not found in $PATH: install it, and give its full path"
	var e *Error
	if !errors.As(err, &e) || e.Kind != Misconfigured || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}

// The output of a program that never ends takes no memory, and its token is not
// lost to that.
func TestCommandSaysTooMuch(t *testing.T) {
	b := limitedBuffer{max: 5}
	if n, err := io.Copy(&b, io.LimitReader(strings.NewReader("tokens and more"), 1<<20)); n != 15 || err != nil || string(b.text) != "token" {
		t.Errorf("kept %q of %d bytes, %v", b.text, n, err)
	}
}

func TestCommandEnv(t *testing.T) {
	const (
		passed = "HOME=/h PATH=/bin LANG=C LC_TIME=C XDG_RUNTIME_DIR=/run/user/1 https_proxy=http://proxy:3128 TZ="
		kept   = "NOTIFY_SOCKET=/run/n LISTEN_FDS=1 CREDENTIALS_DIRECTORY=/run/c XOAUTHD_KEY=k AWS_SECRET=s HOMES=x"
	)
	if got := commandEnv(strings.Fields(kept + " " + passed)); !slices.Equal(got, strings.Fields(passed)) {
		t.Errorf("passed on: %q", got)
	}
	t.Setenv("XOAUTHD_SECRET", "s")
	path := script(t, `echo "${XOAUTHD_SECRET-token1}"`)
	token, err := Command{Args: []string{path}}.token(t.Context(), new(Provider), Grant{}, Mail)
	if err != nil || token.text("access_token") != "token1" {
		t.Errorf("token = %+v, %v", token, err)
	}
	if commandEnv(nil) == nil {
		t.Error("no environment at all would stand for the whole")
	}
}

// TestCommandWaitsForItsTurn: a command that finds as many as may run is not run
// at all if its time is over before.
func TestCommandWaitsForItsTurn(t *testing.T) {
	c := Command{Args: []string{script(t, "echo token1")}, Turns: make(chan struct{}, 1)}
	if token, err := c.token(t.Context(), new(Provider), Grant{}, Mail); err != nil || token.text("access_token") != "token1" {
		t.Fatalf("token = %+v, %v", token, err)
	}
	c.Turns <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var e *Error
	if _, err := c.token(ctx, new(Provider), Grant{}, Mail); !errors.As(err, &e) || e.Kind != Temporary || !strings.Contains(e.Error(), "too many run already") {
		t.Errorf("err = %v", err)
	}
}
