package daemon

import (
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/config"
)

// TestSocketWithoutChown checks that a socket without configured owner opens if the unit
// forbids chown.
func TestSocketWithoutChown(t *testing.T) {
	runtime.LockOSThread() // and never unlock it: the filter ends with the thread
	forbid(t, unix.SYS_FCHOWNAT, unix.EPERM)
	folder := t.TempDir()
	ln, err := openSocket(filepath.Join(folder, "imap.sock"), asMade(0o660))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	given := config.Socket{UID: -1, GID: unix.Getegid(), Mode: 0o660}
	if _, err := openSocket(filepath.Join(folder, "smtp.sock"), given); err == nil || !strings.Contains(err.Error(), "SystemCallFilter=@chown") {
		t.Errorf("%v does not say what to do", err)
	}
}

// TestPortForbidden checks the remedy for a port without permission.
func TestPortForbidden(t *testing.T) {
	runtime.LockOSThread()
	forbid(t, unix.SYS_BIND, unix.EACCES)
	_, err := open("127.0.0.1:0")
	for _, want := range []string{"CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// forbid makes a system call of this thread fail with why, by seccomp(2).
func forbid(t *testing.T, call uint32, why syscall.Errno) {
	t.Helper()
	const number = 0 // where it is in what the filter is given
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(why)},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		t.Fatal(err)
	}
}
