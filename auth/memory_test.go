package auth

import (
	"io/fs"
	"sync"
	"testing/fstest"

	"github.com/xoauthd/xoauthd/auth/store"
)

// Memory is a folder without a disk, which would make a year long.
type memory struct {
	store.Files // that need not be used
	mu          sync.Mutex
	held        fstest.MapFS
}

func (m *memory) Read(name string) ([]byte, fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := m.held.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	return m.held[name].Data, info, nil
}

func (m *memory) Create(name string) (store.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &fstest.MapFile{Mode: 0o600}
	m.held[name] = f
	return memoryFile{f}, nil
}

func (m *memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[to] = m.held[from]
	delete(m.held, from)
	return nil
}

func (*memory) Sync() error { return nil }

type memoryFile struct{ *fstest.MapFile }

func (memoryFile) Sync() error  { return nil }
func (memoryFile) Close() error { return nil }

func (f memoryFile) Write(b []byte) (int, error) {
	f.Data = append(f.Data, b...)
	return len(b), nil
}

// inMemory has the store keep its files without a disk.
func inMemory(s *store.Store) { s.Files = &memory{Files: s.Files, held: make(fstest.MapFS)} }
