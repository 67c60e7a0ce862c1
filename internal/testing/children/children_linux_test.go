package children

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// leaving is set to the way in which TestLeave ends its process.
const leaving = "XOAUTHD_TEST_LEAVING"

func TestMain(m *testing.M) {
	Supervise()
	os.Exit(m.Run())
}

// TestLeave runs in the process that TestSupervise starts: it starts child processes,
// prints their IDs, and ends in the way that the variable leaving names.
func TestLeave(t *testing.T) {
	how := os.Getenv(leaving)
	if how == "" {
		return // run by "go test"
	}
	fmt.Println(os.Getpid())
	// A child, a grandchild, and a daemon in a session of its own.
	sh := exec.Command("sh", "-c", `sleep 1000 & echo $!; (setsid sh -c 'echo $$; exec sleep 1000' &); echo $$; echo end; wait`)
	sh.Stdout = os.Stdout
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	switch how {
	case "exit":
		time.Sleep(time.Second)
		os.Exit(7)
	case "limit":
		Limit(t, time.Second)
	case "panic":
		time.Sleep(time.Second)
		panic("deliberate")
	}
	time.Sleep(time.Hour)
}

func TestSupervise(t *testing.T) {
	for _, row := range []struct {
		how    string
		args   []string
		signal syscall.Signal // sent to the supervisor
		status int
		stderr string // a part of it
	}{
		{"exit", nil, 0, 7, ""},
		{"panic", nil, 0, 2, "panic: deliberate"},
		{"timeout", []string{"-test.timeout=2s"}, 0, 2, "panic: test timed out"},
		{"limit", nil, 0, 2, "TestLeave took longer than 1s"},
		{"interrupted", nil, syscall.SIGINT, 130, ""},
		{"terminated", nil, syscall.SIGTERM, 143, ""},
		{"quit", nil, syscall.SIGQUIT, 2, "SIGQUIT: quit"},
	} {
		t.Run(row.how, func(t *testing.T) {
			cmd := leave(t, row.how, row.args...)
			pids := cmd.pids(t)
			if row.signal != 0 {
				cmd.Process.Signal(row.signal)
			}
			cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != row.status {
				t.Errorf("exit status %d, want %d", status, row.status)
			}
			if !strings.Contains(cmd.stderr.String(), row.stderr) {
				t.Errorf("stderr: %s\nwant %s", &cmd.stderr, row.stderr)
			}
			for _, pid := range pids {
				if running(pid) {
					t.Errorf("process %d still runs", pid)
				}
			}
		})
	}
}

// TestSupervisorIsKilled checks that the kernel kills the tests when their supervisor
// is killed.
func TestSupervisorIsKilled(t *testing.T) {
	cmd := leave(t, "killed")
	pids := cmd.pids(t)
	t.Cleanup(func() {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL) // without a supervisor, they stay
		}
	})
	tests := pids[0]
	cmd.Process.Kill()
	cmd.Wait()
	for deadline := time.Now().Add(30 * time.Second); running(tests); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the tests still run")
		}
	}
}

func TestRunsTests(t *testing.T) {
	for args, want := range map[string]bool{"": false, "status --config x": false, "-test.run=X": true, "-test.paniconexit0 -test.timeout=10m": true} {
		if got := runsTests(strings.Fields(args)); got != want {
			t.Errorf("%s: %v", args, got)
		}
	}
}

// A supervised is a process that runs TestLeave under a supervisor.
type supervised struct {
	*exec.Cmd
	out    *bufio.Scanner
	stderr strings.Builder
}

func leave(t *testing.T, how string, args ...string) *supervised {
	t.Helper()
	l := &supervised{Cmd: exec.Command("/proc/self/exe", append([]string{"-test.run=^TestLeave$"}, args...)...)}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, variable+"=") {
			l.Env = append(l.Env, v)
		}
	}
	l.Env = append(l.Env, leaving+"="+how)
	l.Stderr = &l.stderr
	out, err := l.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.out = bufio.NewScanner(out)
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

// pids returns the IDs of the four processes. The first is that of the tests.
func (l *supervised) pids(t *testing.T) (pids []int) {
	t.Helper()
	ended := false
	for (len(pids) < 4 || !ended) && l.out.Scan() {
		var pid int
		if l.out.Text() == "end" {
			ended = true
		} else if n, _ := fmt.Sscan(l.out.Text(), &pid); n == 1 {
			pids = append(pids, pid)
		}
	}
	if len(pids) < 4 {
		t.Fatalf("only %v\n%s", pids, &l.stderr)
	}
	return pids
}

// running reports whether the process exists and is not a zombie.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
