//go:build unix

package wire

import (
	"io"

	"golang.org/x/sys/unix"
)

// canReadNonblocking reports whether sockets can be read without blocking.
const canReadNonblocking = true

// tryRead reads available data. It returns errWouldBlock if there is none.
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

// waitReadable waits until a read would not block, because of data or end of file.
func (s *socket) waitReadable() error {
	return s.raw.Read(func(fd uintptr) bool {
		// Poll within Read: the runtime reports any data that arrives after this.
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll[:], 0)
		return n > 0 || (err != nil && err != unix.EINTR && err != unix.EAGAIN)
	})
}

// receive waits until data is available, takes a buffer only then, and reads into
// it.
func (s *socket) receive() (b *Buffer, err error) {
	failed := s.raw.Read(func(fd uintptr) bool {
		b = getBuffer()
		b.n, err = read(int(fd), b.data[:])
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

// read is read(2) with the error values of package net.
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
