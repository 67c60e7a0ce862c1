package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A process runs the program, and other programs, as a user other than root.
type process struct {
	dir, program, config string
	user                 *syscall.SysProcAttr
}

const secretInEnvironment = "s3cret-in-the-environment"

func newProcess(t *testing.T) *process {
	t.Helper()
	p := new(process)
	var err error
	// Other users cannot enter t.TempDir.
	p.dir, err = os.MkdirTemp("/tmp", "xoauthd-dump-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	p.program, p.config = filepath.Join(p.dir, "xoauthd"), filepath.Join(p.dir, "xoauthd.toml")
	itself, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(p.program, itself, 0o755)) // by that name it is the program: see TestMain
	must(t, os.WriteFile(p.config, []byte(`state_directory = "state"

[[listener]]
protocol = "imap"
address  = "127.0.0.1:0"

[provider.mine]
client_id         = "xoauthd"
client_secret_env = "MY_SECRET"
authorization_url = "https://example.com/authorize"
token_url         = "https://example.com/token"
redirect_url      = "http://localhost:1/callback"
scopes            = ["mail"]
imap = { host = "localhost" }

[account."alice@example.com"]
provider      = "mine"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$pBRIGepKUqjL4LDI51z58w$s+AX+0UaxFBX6QsnhggUN5hqg67TepmNhl0tpWvvZ88"
`), 0o600))
	if os.Getuid() == 0 { // root may read all processes
		const nobody = 65534
		p.user = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		must(t, os.Chown(p.dir, nobody, nobody))
		must(t, os.Chown(p.config, nobody, nobody))
	}
	return p
}

func (p *process) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = p.dir, p.user
	cmd.Env = append(os.Environ(), "MY_SECRET="+secretInEnvironment, "GOTRACEBACK=crash")
	return cmd
}

// serve starts the daemon without a limit for core dumps, and returns when it is ready.
// said returns its output from then on.
func (p *process) serve(t *testing.T) (cmd *exec.Cmd, said *bufio.Reader) {
	t.Helper()
	cmd = p.command("sh", "-c", `ulimit -c "$(ulimit -H -c)"; exec "$@"`, "sh", p.program, "serve", "-c", p.config)
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() }) // if it is still there
	said = bufio.NewReader(stderr)
	for {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("%s%v", line, err)
		}
		if strings.Contains(line, "msg=listening") {
			return cmd, said
		}
	}
}

// Only root can read the memory of the daemon; other programs of its user cannot. The
// daemon itself still reads what it needs in /proc.
func TestMemoryIsOwn(t *testing.T) {
	p := newProcess(t)
	cmd, said := p.serve(t)
	for _, file := range []string{"environ", "mem", "maps"} {
		path := fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, file)
		if out, err := p.command("head", "-c", "100", path).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("Permission denied")) {
			t.Errorf("%s: %v: %s", path, err, out)
		}
	}
	if out, err := p.command("cat", "/proc/self/environ").Output(); err != nil || !bytes.Contains(out, []byte(secretInEnvironment)) {
		t.Errorf("one's own environment: %v: %s", err, out)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
	must(t, err)
	if want := "Max core file size        0                    0 "; !strings.Contains(string(limits), want) {
		t.Errorf("no %q in\n%s", want, limits)
	}
	if out, _ := p.command(p.program, "status", "-c", p.config).CombinedOutput(); !bytes.Contains(out, []byte("alice@example.com")) || bytes.Contains(out, []byte("No daemon runs")) {
		t.Errorf("status: %s", out)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	rest, _ := io.ReadAll(said)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, rest)
	}
}

// A daemon that aborts leaves no core dump, and no secret in its output.
func TestNoCore(t *testing.T) {
	p := newProcess(t)
	other := p.command("sh", "-c", `ulimit -c "$(ulimit -H -c)"; kill -ABRT $$`)
	other.Run() // which tells that it was killed
	if !other.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
		t.Log("no program leaves a core here")
	}
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
		cmd, said := p.serve(t)
		must(t, cmd.Process.Signal(signal))
		rest, _ := io.ReadAll(said)
		cmd.Wait() // so it does here
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.CoreDump() {
			t.Errorf("%v: %v, core: %v", signal, cmd.ProcessState, status.CoreDump())
		}
		if text := string(rest); !strings.Contains(text, "goroutine ") || strings.Contains(text, secretInEnvironment) {
			t.Errorf("%v: it says\n%s", signal, text)
		}
	}
}
