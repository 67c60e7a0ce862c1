package store

import (
	"crypto/rand"
	"errors"
	"sync"
	"syscall"
	"time"
)

// A reserve is a file that occupies space in the state directory. It is removed when the
// disk is full, so that grants can still be saved.
type reserve struct {
	mu    sync.Mutex
	kept  bool      // the file exists
	tried time.Time // last attempt to create it
}

const (
	reserveName = "reserve"

	// reserveSize is many times the size of a grant. Each saved grant frees the space of its
	// predecessor.
	reserveSize = 256 << 10

	// reserveAfter is the interval between two attempts to create the reserve.
	reserveAfter = time.Minute
)

// isFull reports whether the disk or the quota of this user is full.
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
	if data, _, err := s.Files.Read(reserveName); err == nil && len(data) == reserveSize {
		s.reserve.kept = true
		return
	}
	data := make([]byte, reserveSize)
	rand.Read(data)
	if err := s.write(reserveName, data); err != nil {
		_ = s.Files.Remove(reserveName) // a part of it is useless
		return
	}
	s.reserve.kept = true
}

// giveUpReserve removes the reserve.
func (s *Store) giveUpReserve() {
	s.reserve.mu.Lock()
	defer s.reserve.mu.Unlock()
	s.reserve.kept, s.reserve.tried = false, time.Now()
	_ = s.Files.Remove(reserveName)
}

// Full reports whether the reserve is missing: the disk is full, and the next grant may not
// be saved.
func (s *Store) Full() bool {
	s.reserve.mu.Lock()
	defer s.reserve.mu.Unlock()
	return !s.reserve.kept
}
