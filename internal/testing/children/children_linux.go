// Package children kills the processes that tests start when the tests end, also when
// they end by a time-out, a panic or a signal. It does not use process groups: servers
// that become daemons, such as Postfix, leave the group.
package children

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// variable is set in the environment of supervised tests and of their children.
const variable = "XOAUTHD_TEST_SUPERVISED"

// Supervise must be called first in a TestMain. It runs the test binary a second time
// with the same arguments, waits until that process ends, kills all its descendants,
// and exits with its status. In the second process, and in a process that "go test"
// did not start, it returns at once.
//
// If the supervisor is killed, the kernel kills the second process.
func Supervise() {
	if os.Getenv(variable) != "" || !runsTests(os.Args[1:]) {
		return
	}
	status, err := supervise()
	if err != nil {
		fmt.Fprintln(os.Stderr, "children:", err)
		status = 1
	}
	os.Exit(status)
}

// runsTests reports whether args are those of "go test".
func runsTests(args []string) bool {
	for _, arg := range args {
		if strings.HasPrefix(arg, "-test.") {
			return true
		}
	}
	return false
}

func supervise() (status int, err error) {
	// Pdeathsig is sent when this thread ends, not when the process ends.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	tests, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), variable+"=1"),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	go func() {
		for s := range signals {
			syscall.Kill(tests, s.(syscall.Signal))
		}
	}()
	status, err = reap(tests)
	if err != nil {
		return 0, err
	}
	return status, killAll()
}

// reap waits until the tests end and returns their exit status. It also reaps orphaned
// descendants, which would stay as zombies.
func reap(tests int) (status int, err error) {
	for {
		var ws syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &ws, 0, nil); {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case pid != tests:
		case ws.Signaled():
			return 128 + int(ws.Signal()), nil
		default:
			return ws.ExitStatus(), nil
		}
	}
}

// killAll kills all descendants. When a child ends, its own children become children of
// this process, so it repeats until no child is left.
func killAll() error {
	for {
		pids, err := children()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		switch _, err := syscall.Wait4(-1, nil, 0, nil); err {
		case syscall.ECHILD:
			return nil
		case nil, syscall.EINTR:
		default:
			return err
		}
	}
}

// children returns the process IDs of the children of this process.
func children() (pids []int, err error) {
	self := os.Getpid()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var pid, parent int
		if n, _ := fmt.Sscan(e.Name(), &pid); n != 1 {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // the process has ended
		}
		// The name, in parentheses, may contain any character.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		var state string
		if n, _ := fmt.Sscan(rest, &state, &parent); n == 2 && parent == self {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
