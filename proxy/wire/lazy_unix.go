//go:build unix

package wire

import (
	"io"

	"golang.org/x/sys/unix"
)

// canBeLazy says that the system can be asked what is there to read.
const canBeLazy = true

// tryRead reads what is there, and returns errWouldBlock if that is nothing.
func (s *socket) tryRead(p []byte) (n int, err error) {
	failed := s.raw.Read(func(fd uintptr) bool {
		n, err = read(int(fd), p)
		return true
	})
	if failed != nil {
		return 0, failed
	}
	return n, err
}

// waitRead waits until there is something to read, be it the end.
func (s *socket) waitRead() error {
	return s.raw.Read(func(fd uintptr) bool {
		// Asked here, and not before: what arrives from now on wakes us up.
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll[:], 0)
		return n > 0 || (err != nil && err != unix.EINTR && err != unix.EAGAIN)
	})
}

// receive waits until there is something to read, borrows a buffer only then,
// and reads into it.
func (s *socket) receive() (b *Buffer, err error) {
	failed := s.raw.Read(func(fd uintptr) bool {
		b = borrow()
		b.n, err = read(int(fd), b.space[:])
		if err != nil {
			b.Return()
			b = nil
		}
		return err != error(errWouldBlock)
	})
	if failed != nil {
		return nil, failed
	}
	return b, err
}

// read is read(2), with the errors of net.
func read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, errWouldBlock
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
