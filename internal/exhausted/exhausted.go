// Package exhausted recognizes errors that look like those of a remote server, and
// mean that this process or this machine has run out of something.
package exhausted

import (
	"errors"
	"net"
	"strings"
	"syscall"
)

const (
	hintFiles = "xoauthd has no file descriptor left. Set a higher LimitNOFILE= in its unit (ulimit -n without systemd), or lower limits.sessions."

	hintMachineFiles = "This machine has no file descriptor left. Find the program that holds most of them, or set a higher fs.file-max with sysctl."

	hintMemory = "This machine has no memory left for the connection. Check its free memory, net.ipv4.tcp_mem, and MemoryMax= in the unit of xoauthd."

	hintAddress = "This machine has no local address or port left for the connection. Check whether it has an address of that kind (IPv6, for example), and how many connections it has to that server; net.ipv4.ip_local_port_range bounds them."
)

// hints are in the order in which they are looked for.
var hints = []struct {
	errno syscall.Errno
	text  string
}{
	{syscall.EMFILE, hintFiles},
	{syscall.ENFILE, hintMachineFiles},
	{syscall.ENOMEM, hintMemory},
	{syscall.ENOBUFS, hintMemory},
	{syscall.EADDRNOTAVAIL, hintAddress},
}

// Hint returns what an administrator can do about err if it means that a resource of
// this process or machine has run out, and otherwise nothing.
func Hint(err error) string {
	for _, h := range hints {
		if errors.Is(err, h.errno) || failedLookup(err, h.errno) {
			return h.text
		}
	}
	return ""
}

// Files reports whether err means that this process or machine has no file
// descriptor left.
func Files(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// failedLookup reports whether a lookup in the DNS failed by errno. A net.DNSError
// has that only as text.
func failedLookup(err error, errno syscall.Errno) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && strings.HasSuffix(dns.Err, errno.Error())
}
