package gateway

import (
	"bytes"
	"io"
	"os"
)

// maxMemory is the size in bytes up to which a message is kept in memory.
const maxMemory = 256 << 10

// A spool keeps a message: in memory, or in a file without a name if it is larger than
// maxMemory.
type spool struct {
	dir  string // of the file
	buf  []byte
	file *os.File
	size int64
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.buf)+len(p) > maxMemory {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	if s.file == nil {
		s.buf = append(s.buf, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	return s.toDisk(p)
}

// fileBuffer is the size of the writes to the file. A message arrives in lines.
const fileBuffer = 32 << 10

// toDisk writes p to the file through a buffer.
func (s *spool) toDisk(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	s.size += int64(len(p))
	if len(s.buf) >= fileBuffer {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// flush writes the buffer to the file.
func (s *spool) flush() error {
	if s.file == nil {
		return nil
	}
	_, err := s.file.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// toFile moves what is in memory to a file. The name is removed at once, so that the file
// is gone when the process ends, in whatever way.
func (s *spool) toFile() (err error) {
	if s.file, err = os.CreateTemp(s.dir, "xoauthd-message-"); err != nil {
		return err
	}
	if err := os.Remove(s.file.Name()); err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.buf = make([]byte, 0, fileBuffer+4096)
	return nil
}

// from returns the content from offset on.
func (s *spool) from(offset int64) io.Reader {
	if s.file != nil {
		return io.NewSectionReader(s.file, offset, s.size-offset)
	}
	return bytes.NewReader(s.buf[offset:])
}

// Close drops the message.
func (s *spool) Close() error {
	s.buf = nil
	if s.file != nil {
		return s.file.Close()
	}
	return nil
}
