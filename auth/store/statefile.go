package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// A stateFile is a file of the store that is not a grant.
type stateFile struct {
	Version int    `json:"version"` // formatPlain or formatSealed
	Key     string `json:"key,omitempty"`
	Sealed  []byte `json:"sealed,omitempty"` // nonce and ciphertext
	Plain   []byte `json:"plain,omitempty"`
}

// context is the additional data of the AEAD: neither another state file nor a grant can
// replace the file.
func (f stateFile) context(name string) []byte {
	return fmt.Appendf(nil, "xoauthd state %d\x00%s\x00%s", f.Version, f.Key, name)
}

// SaveState replaces the state file of that name, which must not be that of a grant
// or key. The file is encrypted if grants are. It is replaced as a whole or not at
// all.
func (s *Store) SaveState(name string, data []byte) error {
	f := stateFile{Version: formatPlain, Plain: data}
	if !s.plain {
		f = stateFile{Version: formatSealed, Key: s.keys[0].id}
		f.Sealed = s.keys[0].seal(data, f.context(name))
	}
	text, err := json.Marshal(f)
	if err == nil {
		err = s.stage(name, append(text, '\n'))
	}
	if err == nil {
		err = s.commit(name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, name), err)
	}
	return nil
}

// LoadState returns the content of the state file name. The error is fs.ErrNotExist if there
// is no such file.
func (s *Store) LoadState(name string) ([]byte, error) {
	path := filepath.Join(s.dir, name)
	text, info, err := s.Files.Read(name)
	if err == nil {
		err = private(path, info)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := s.openState(name, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// openState accepts an unencrypted file only where grants are not encrypted either.
func (s *Store) openState(name string, text []byte) ([]byte, error) {
	var f stateFile
	if err := json.Unmarshal(text, &f); err != nil { // the error may quote the file
		return nil, errors.New("the file is damaged")
	}
	switch {
	case f.Version > formatSealed:
		return nil, fmt.Errorf("written by a newer xoauthd (format %d)", f.Version)
	case f.Version == formatPlain && s.plain:
		return f.Plain, nil
	case f.Version != formatSealed:
		return nil, errors.New("the file is not encrypted")
	}
	i := slices.IndexFunc(s.keys, func(k Key) bool { return k.id == f.Key })
	if i < 0 {
		return nil, fmt.Errorf("encrypted with key %q, and xoauthd has %s", f.Key, s.keyIDs())
	}
	data, err := s.keys[i].open(f.Sealed, f.context(name))
	if err != nil {
		return nil, errors.New("the file is damaged, or xoauthd did not write it")
	}
	return data, nil
}
