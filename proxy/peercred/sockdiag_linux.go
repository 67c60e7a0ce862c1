package peercred

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The layout of sock_diag(7) messages: struct nlmsghdr followed by struct
// inet_diag_req_v2 or struct inet_diag_msg. Numbers are in native byte order, except
// ports and addresses.
const (
	headerLen   = 16
	requestLen  = headerLen + 56
	responseLen = headerLen + 72

	stateAt = headerLen + 1
	uidAt   = headerLen + 64
	inodeAt = headerLen + 68

	stateListen = 10
)

// sockDiag asks the kernel for the user of the socket that is connected from local
// to remote. The error is errNoSocket if there is no such socket.
func sockDiag(local, remote netip.AddrPort) (uid uint32, err error) {
	d, err := openDiag()
	if err != nil {
		return 0, err
	}
	defer d.close()
	return d.lookUp(local, remote)
}

// A diagSocket is the file descriptor of a netlink socket to sock_diag.
type diagSocket int

func openDiag() (diagSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	return diagSocket(fd), nil
}

func (d diagSocket) close() { unix.Close(int(d)) }

// lookUp is sockDiag over d. After an error other than errNoSocket, d may contain an
// unread response and must be closed.
func (d diagSocket) lookUp(local, remote netip.AddrPort) (uid uint32, err error) {
	if err := unix.Sendto(int(d), diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	var response [512]byte                                             // the rest of the message is not needed
	n, _, err := unix.Recvfrom(int(d), response[:], unix.MSG_DONTWAIT) // available when Sendto returns
	if err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	return parseDiag(response[:n])
}

// diagRequest returns a request for one socket by its addresses.
func diagRequest(local, remote netip.AddrPort) []byte {
	r := make([]byte, requestLen)
	native, big := binary.NativeEndian, binary.BigEndian
	native.PutUint32(r, requestLen)
	native.PutUint16(r[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(r[6:], unix.NLM_F_REQUEST)
	r[16], r[17] = unix.AF_INET6, unix.IPPROTO_TCP
	if local.Addr().Is4() {
		r[16] = unix.AF_INET
	}
	native.PutUint32(r[20:], 1<<32-1) // in any state
	big.PutUint16(r[24:], local.Port())
	big.PutUint16(r[26:], remote.Port())
	copy(r[28:], local.Addr().AsSlice())
	copy(r[44:], remote.Addr().AsSlice())
	native.PutUint64(r[64:], 1<<64-1) // any cookie
	return r
}

// parseDiag parses a response. If there is no such connection, the kernel returns
// the socket that listens at the address, if any. A socket without an inode is not
// held by any process.
func parseDiag(response []byte) (uid uint32, err error) {
	native := binary.NativeEndian
	switch {
	case len(response) < headerLen+4:
		return 0, errors.New("sock_diag: short response")
	case native.Uint16(response[4:]) == unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(native.Uint32(response[headerLen:])))
		if errno == unix.ENOENT {
			return 0, errNoSocket
		}
		return 0, fmt.Errorf("sock_diag: %w", errno)
	case native.Uint16(response[4:]) != unix.SOCK_DIAG_BY_FAMILY, len(response) < responseLen:
		return 0, errors.New("sock_diag: unknown response")
	case response[stateAt] == stateListen, native.Uint32(response[inodeAt:]) == 0:
		return 0, errNoSocket
	}
	return native.Uint32(response[uidAt:]), nil
}
