package auth

import (
	"crypto/rand"
	"errors"
	"sync"
	"syscall"
	"time"
)

// A reserve is a file that takes up room in the state directory, and is removed
// when the disk is full: grants can still be saved then, while somebody is told.
type reserve struct {
	mu    sync.Mutex
	kept  bool      // the file is there
	tried time.Time // when it was last to be made
}

const (
	reserveName = "reserve"

	// reserveSize is many times the size of a grant. Each that is saved frees the
	// room of the one before it.
	reserveSize = 256 << 10

	// reserveAfter is between two tries to make the reserve.
	reserveAfter = time.Minute
)

// isFull reports whether err says that there is no room on the disk, or none for
// this user.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// KeepReserve makes the reserve if it is not there and the last try is a minute ago.
// A daemon calls it now and then: without, Full would stay true until the next Save.
// The data cannot be compressed: a file system that compresses would reserve nothing.
func (s *Store) KeepReserve() {
	s.reserve.mu.Lock()
	defer s.reserve.mu.Unlock()
	if s.reserve.kept || time.Since(s.reserve.tried) < reserveAfter && !s.reserve.tried.IsZero() {
		return
	}
	s.reserve.tried = time.Now()
	if data, _, err := s.files.read(reserveName); err == nil && len(data) == reserveSize {
		s.reserve.kept = true
		return
	}
	data := make([]byte, reserveSize)
	rand.Read(data)
	if err := s.write(reserveName, data); err != nil {
		_ = s.files.remove(reserveName) // in part, it is of no use
		return
	}
	s.reserve.kept = true
}

// giveUpReserve removes the reserve.
func (s *Store) giveUpReserve() {
	s.reserve.mu.Lock()
	defer s.reserve.mu.Unlock()
	s.reserve.kept, s.reserve.tried = false, time.Now()
	_ = s.files.remove(reserveName)
}

// Full reports whether the reserve had to be given up, or could not be made: the
// disk is full, and the next grant may not be saved.
func (s *Store) Full() bool {
	s.reserve.mu.Lock()
	defer s.reserve.mu.Unlock()
	return !s.reserve.kept
}
