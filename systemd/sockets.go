package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// A Socket is a listening stream socket passed by systemd. Close does not affect the
// descriptor that systemd keeps, nor the file of a unix socket.
type Socket struct {
	net.Listener
	Name string // FileDescriptorName= of the socket unit; its default is the name of the unit
}

// firstSocket is the first passed descriptor, SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstSocket = 3

// Sockets returns the sockets that systemd passed to this process (socket
// activation), in the order of their descriptors. It returns none if systemd did not
// start the process, or if $LISTEN_PID names another process.
//
// Call Sockets once, before the process opens other files. It unsets the environment
// variables, and marks the sockets close-on-exec. If it returns an error, it has
// closed all sockets.
func Sockets() ([]Socket, error) {
	count, names, err := readEnvironment()
	if err != nil {
		return nil, fmt.Errorf("systemd sockets: %w", err)
	}
	var sockets []Socket
	var errs []error
	for i := range count {
		s, err := newSocket(firstSocket+i, names[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("systemd socket %q: %w", names[i], err))
			continue
		}
		sockets = append(sockets, s)
	}
	if len(errs) > 0 {
		for _, s := range sockets {
			s.Close()
		}
		return nil, errors.Join(errs...)
	}
	return sockets, nil
}

// readEnvironment reads and unsets the environment variables of sd_listen_fds(3). It
// returns one name for each socket.
func readEnvironment() (count int, names []string, err error) {
	pid, fds, list := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(key)
	}
	if pid == "" || fds == "" || pid != strconv.Itoa(os.Getpid()) {
		return 0, nil, nil
	}
	const limit = 1000 // more than any configuration uses
	count, err = strconv.Atoi(fds)
	if err != nil || count < 0 || count > limit {
		return 0, nil, fmt.Errorf("LISTEN_FDS=%q: expected a number from 0 to %d", fds, limit)
	}
	if list != "" {
		names = strings.Split(list, ":")
	} else {
		for range count {
			names = append(names, "unknown") // as in sd_listen_fds_with_names(3)
		}
	}
	if len(names) != count {
		return 0, nil, fmt.Errorf("LISTEN_FDNAMES=%q has %d names, but LISTEN_FDS=%d", list, len(names), count)
	}
	return count, names, nil
}

// newSocket returns a listener for the descriptor fd, and closes fd itself.
func newSocket(fd int, name string) (Socket, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return Socket{}, fmt.Errorf("descriptor %d is not open", fd)
	}
	defer f.Close()
	if socketType, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
		return Socket{}, fmt.Errorf("descriptor %d is not a socket: %w", fd, err)
	} else if socketType != syscall.SOCK_STREAM {
		return Socket{}, errors.New("not a stream socket; use ListenStream= in the socket unit")
	}
	if listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil {
		return Socket{}, err
	} else if listening == 0 {
		return Socket{}, errors.New("a connection, not a listening socket; remove Accept=yes from the socket unit")
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return Socket{}, err
	}
	return Socket{ln, name}, nil
}
