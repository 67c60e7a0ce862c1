package exhausted

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHint(t *testing.T) {
	dial := func(err error) error { return fmt.Errorf("connecting: %w", &net.OpError{Op: "dial", Err: err}) }
	call := func(errno syscall.Errno) error { return dial(os.NewSyscallError("socket", errno)) }
	for _, test := range []struct {
		name string
		err  error
		want string // a part; none if empty
	}{
		{"nothing", nil, ""},
		{"no descriptor", call(syscall.EMFILE), "LimitNOFILE="},
		{"no descriptor in the machine", call(syscall.ENFILE), "fs.file-max"},
		{"no memory", call(syscall.ENOMEM), "memory"},
		{"no buffer", call(syscall.ENOBUFS), "memory"},
		{"no port", call(syscall.EADDRNOTAVAIL), "ip_local_port_range"},
		{"lookup without a descriptor", dial(&net.DNSError{Err: "dial udp 192.0.2.1:53: socket: too many open files", Name: "x"}), "LimitNOFILE="},
		{"no such host", dial(&net.DNSError{Err: "no such host", Name: "x"}), ""},
		{"refused", call(syscall.ECONNREFUSED), ""},
		{"unreachable", call(syscall.ENETUNREACH), ""},
		{"words of a server", errors.New("451 4.3.0 cannot open: too many open files"), ""},
	} {
		if got := Hint(test.err); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestWithoutDescriptors checks the errors of package net in a process that has no
// descriptor left.
func TestWithoutDescriptors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dialer := net.Dialer{Resolver: &net.Resolver{PreferGo: true}} // xoauthd is built without cgo
	useUp(t)
	for _, address := range []string{"192.0.2.1:993", "imap.example.com:993"} {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			c.Close()
		}
		if Hint(err) != hintFiles {
			t.Errorf("%s: %q for %v", address, Hint(err), err)
		}
	}
	if _, err := os.Open(os.DevNull); !Files(err) {
		t.Errorf("a file: %v", err)
	}
}

// useUp lowers the limit of this process to the descriptors that it has, until the
// test ends.
func useUp(t *testing.T) {
	t.Helper()
	lowest, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := limit
	lowered.Cur = uint64(lowest.Fd())
	lowest.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) })
}
