package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// peerUser returns which user's program is at the other end of c, a unix socket
// or a connection within this machine.
func peerUser(c net.Conn) (uid uint32, err error) {
	switch c := c.(type) {
	case *net.UnixConn:
		return unixPeer(c)
	case *net.TCPConn:
		return tcpPeer(c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort())
	}
	return 0, fmt.Errorf("a connection by %s has no user", c.RemoteAddr().Network())
}

// unixPeer asks for who connected, whoever holds the socket now. Of a TCP socket
// the kernel would say that it is user 4294967295, and no error.
func unixPeer(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	controlled := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(controlled, err); err != nil {
		return 0, err
	}
	return peer.Uid, nil
}

// tcpPeer looks for the client's socket in the tables of the kernel. While these
// are read others come and go in them, and a row may be missed: so it looks twice.
func tcpPeer(client, ours netip.AddrPort) (uid uint32, err error) {
	if !client.Addr().Unmap().IsLoopback() {
		return 0, fmt.Errorf("%s is not on this machine", client.Addr())
	}
	for range 2 {
		for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
			uid, err = ownerIn(table, client, ours)
			if !errors.Is(err, errNoSocket) {
				return uid, err
			}
		}
	}
	return 0, err
}

var errNoSocket = errors.New("its socket is not in the tables of the kernel any more")

func ownerIn(table string, client, ours netip.AddrPort) (uid uint32, err error) {
	f, err := os.Open(table)
	if errors.Is(err, os.ErrNotExist) { // as that of IPv6 may be
		return 0, errNoSocket
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return owner(f, client, ours)
}

// maxTable is how much of a table is read: a row for every port that there is on
// each of two addresses.
const maxTable = 20 << 20

// owner returns the user of the socket that is connected from local to remote, by
// a table as proc_pid_net(5) has it. A socket without an inode is held by nobody
// any more, and says that it is root's, whoever held it.
func owner(table io.Reader, local, remote netip.AddrPort) (uid uint32, err error) {
	const localColumn, remoteColumn, uidColumn, inodeColumn = 1, 2, 7, 9
	from, to := kernelNames(local), kernelNames(remote)
	rows := bufio.NewScanner(io.LimitReader(table, maxTable))
	for rows.Scan() {
		row := strings.Fields(rows.Text())
		if len(row) <= inodeColumn || row[inodeColumn] == "0" ||
			!slices.Contains(from, row[localColumn]) || !slices.Contains(to, row[remoteColumn]) {
			continue
		}
		uid, err := strconv.ParseUint(row[uidColumn], 10, 32)
		return uint32(uid), err
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	return 0, errNoSocket
}

// kernelNames are how the tables write a: in words of the machine's byte order,
// as itself and, if it is of IPv4, as it looks to a socket of IPv6.
func kernelNames(a netip.AddrPort) (names []string) {
	mapped := a.Addr().As16()
	for _, words := range [][]byte{a.Addr().Unmap().AsSlice(), mapped[:]} {
		var name strings.Builder
		for word := range slices.Chunk(words, 4) {
			fmt.Fprintf(&name, "%08X", binary.NativeEndian.Uint32(word))
		}
		fmt.Fprintf(&name, ":%04X", a.Port())
		names = append(names, name.String())
	}
	return names
}
