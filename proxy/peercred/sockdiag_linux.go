package peercred

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// The layout of what sock_diag(7) takes and gives: struct nlmsghdr, and then
// struct inet_diag_req_v2 or inet_diag_msg. Numbers are in the machine's byte order
// but for ports and addresses.
const (
	headerLen  = 16
	requestLen = headerLen + 56
	answerLen  = headerLen + 72

	stateAt = headerLen + 1
	uidAt   = headerLen + 64
	inodeAt = headerLen + 68

	stateListen = 10
)

// sockDiag asks the kernel for the user of the socket that is connected from local
// to remote. The error is errNoSocket if there is none, or no sock_diag.
func sockDiag(local, remote netip.AddrPort) (uid uint32, err error) {
	d, err := openDiag()
	if err != nil {
		return 0, err
	}
	defer d.close()
	return d.lookUp(local, remote)
}

// A diagSocket is the descriptor of a netlink socket to sock_diag.
type diagSocket int

func openDiag() (diagSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	return diagSocket(fd), nil
}

func (d diagSocket) close() { unix.Close(int(d)) }

// lookUp is sockDiag over d. Other errors than errNoSocket may leave an answer
// behind.
func (d diagSocket) lookUp(local, remote netip.AddrPort) (uid uint32, err error) {
	if err := unix.Sendto(int(d), diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	var answer [512]byte                                             // what follows the message is of no interest
	n, _, err := unix.Recvfrom(int(d), answer[:], unix.MSG_DONTWAIT) // it is there when Sendto returns
	if err != nil {
		return 0, fmt.Errorf("sock_diag: %w", err)
	}
	return parseDiag(answer[:n])
}

// diagRequest asks for one socket by its addresses.
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
	native.PutUint64(r[64:], 1<<64-1) // whatever its cookie
	return r
}

// parseDiag reads the answer. Where there is no such connection, the kernel gives
// the socket that listens at the address, if any. A socket without an inode is held
// by no process any more.
func parseDiag(answer []byte) (uid uint32, err error) {
	native := binary.NativeEndian
	switch {
	case len(answer) < headerLen+4:
		return 0, errors.New("sock_diag: short answer")
	case native.Uint16(answer[4:]) == unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(native.Uint32(answer[headerLen:])))
		if errno == unix.ENOENT {
			return 0, errNoSocket
		}
		return 0, fmt.Errorf("sock_diag: %w", errno)
	case native.Uint16(answer[4:]) != unix.SOCK_DIAG_BY_FAMILY, len(answer) < answerLen:
		return 0, errors.New("sock_diag: unknown answer")
	case answer[stateAt] == stateListen, native.Uint32(answer[inodeAt:]) == 0:
		return 0, errNoSocket
	}
	return native.Uint32(answer[uidAt:]), nil
}
