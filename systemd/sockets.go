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

// A Socket is a listening stream socket that systemd holds and has handed over.
// Closing it leaves the one that systemd holds, and its file, as they are.
type Socket struct {
	net.Listener
	Name string // FileDescriptorName= of the socket unit; by default the unit's name
}

// firstSocket is the first descriptor that is handed over: SD_LISTEN_FDS_START of
// sd_listen_fds(3).
const firstSocket = 3

// Sockets returns the sockets that systemd has handed over to this process
// (socket activation), in the order of their descriptors. There are none if
// something else has started the process, or if they are for another process.
//
// It is to be called once, before the process opens other files. It clears the
// environment, and no child inherits the sockets. After an error no socket is open.
func Sockets() ([]Socket, error) {
	count, names, err := handedOver()
	if err != nil {
		return nil, fmt.Errorf("sockets of systemd: %w", err)
	}
	var sockets []Socket
	var faults []error
	for i := range count {
		s, err := takeOver(firstSocket+i, names[i])
		if err != nil {
			faults = append(faults, fmt.Errorf("socket %q of systemd: %w", names[i], err))
			continue
		}
		sockets = append(sockets, s)
	}
	if len(faults) > 0 {
		for _, s := range sockets {
			s.Close()
		}
		return nil, errors.Join(faults...)
	}
	return sockets, nil
}

// handedOver reads and clears the environment of sd_listen_fds(3). There are as
// many names as sockets.
func handedOver() (count int, names []string, err error) {
	pid, fds, list := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(key)
	}
	if pid == "" || fds == "" || pid != strconv.Itoa(os.Getpid()) {
		return 0, nil, nil
	}
	const most = 1000 // more than any configuration has, and no number that overflows
	count, err = strconv.Atoi(fds)
	if err != nil || count < 0 || count > most {
		return 0, nil, fmt.Errorf("LISTEN_FDS=%q is not a number of sockets", fds)
	}
	if list != "" {
		names = strings.Split(list, ":")
	} else {
		for range count {
			names = append(names, "unknown") // as sd_listen_fds_with_names(3) calls them
		}
	}
	if len(names) != count {
		return 0, nil, fmt.Errorf("LISTEN_FDNAMES=%q names %d sockets, and LISTEN_FDS=%d", list, len(names), count)
	}
	return count, names, nil
}

// takeOver makes a listener of a descriptor, which it closes.
func takeOver(fd int, name string) (Socket, error) {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return Socket{}, fmt.Errorf("descriptor %d is not open", fd)
	}
	defer f.Close()
	if kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
		return Socket{}, fmt.Errorf("descriptor %d is not a socket: %w", fd, err)
	} else if kind != syscall.SOCK_STREAM {
		return Socket{}, errors.New("not a stream socket: the socket unit needs ListenStream=")
	}
	if listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil {
		return Socket{}, err
	} else if listens == 0 {
		return Socket{}, errors.New("a connection, not a listening socket: the socket unit must not have Accept=yes")
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return Socket{}, err
	}
	return Socket{ln, name}, nil
}
