package daemon

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// holder returns the user whose program listens at address, or "" if that is not known.
func holder(address string) string {
	want, err := netip.ParseAddrPort(address)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		uid := listenerIn(f, want)
		f.Close()
		if uid == "" {
			continue
		}
		if u, err := user.LookupId(uid); err == nil {
			return u.Username
		}
		return uid
	}
	return ""
}

// listenerIn returns the id of the user that listens at want, or at all addresses with
// its port, from a table in the format of proc_pid_net(5).
func listenerIn(table io.Reader, want netip.AddrPort) (uid string) {
	const localColumn, stateColumn, uidColumn, listening = 1, 3, 7, "0A"
	rows := bufio.NewScanner(table)
	for rows.Scan() {
		row := strings.Fields(rows.Text())
		if len(row) <= uidColumn || row[stateColumn] != listening {
			continue
		}
		local, ok := kernelAddress(row[localColumn])
		if ok && local.Port() == want.Port() && (local.Addr() == want.Addr().Unmap() || local.Addr().IsUnspecified()) {
			return row[uidColumn]
		}
	}
	return ""
}

// kernelAddress parses an address of these tables: hexadecimal words in the byte order of
// the machine, a colon, and the port.
func kernelAddress(text string) (netip.AddrPort, bool) {
	words, port, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	b, err := hex.DecodeString(words)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok
}
