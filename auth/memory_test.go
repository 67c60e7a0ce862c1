package auth

import (
	"io/fs"
	"sync"
	"testing/fstest"
)

// Memory is a folder without a disk, which would make a year long.
type memory struct {
	files // that need not be used
	mu    sync.Mutex
	held  fstest.MapFS
}

func (m *memory) read(name string) ([]byte, fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := m.held.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	return m.held[name].Data, info, nil
}

func (m *memory) create(name string) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &fstest.MapFile{Mode: 0o600}
	m.held[name] = f
	return memoryFile{f}, nil
}

func (m *memory) rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held[to] = m.held[from]
	delete(m.held, from)
	return nil
}

func (*memory) sync() error { return nil }

type memoryFile struct{ *fstest.MapFile }

func (memoryFile) Sync() error  { return nil }
func (memoryFile) Close() error { return nil }

func (f memoryFile) Write(b []byte) (int, error) {
	f.Data = append(f.Data, b...)
	return len(b), nil
}

// inMemory has the store keep its files without a disk.
func inMemory(s *Store) { s.files = &memory{files: s.files, held: make(fstest.MapFS)} }
