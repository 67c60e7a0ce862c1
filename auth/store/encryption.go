package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/xoauthd/xoauthd/internal/storekey"
)

// Encryption says how a Store encrypts grants, and which others it reads. The zero value is
// the default.
type Encryption struct {
	// Keys decrypt, and the first one encrypts. Without any, the store uses the file "key"
	// of its directory, and creates it if it is missing.
	Keys []Key

	// Plain stores grants in the clear, and creates no key. Keys, and those in the file
	// "key", only decrypt.
	Plain bool

	// Migrate means that Rekey takes over grants of an earlier configuration: grants
	// in the clear and, beside Keys, grants that the file "key" encrypts. Without it
	// they are refused, because any process that can write to the directory can make them.
	Migrate bool
}

// keyName is the file of the keys if none are configured.
const keyName = "key"

// prepare reads the keys, and creates one if it is needed.
func (s *Store) prepare(e Encryption) error {
	own, err := s.ownKeys()
	s.plain, s.migrate = e.Plain, e.Migrate
	if len(e.Keys) > 0 && !e.Plain && !e.Migrate {
		s.keys, s.foreign = e.Keys, own
		return nil
	}
	if errors.Is(err, storekey.ErrNone) {
		err = cmp.Or(s.mayMakeKey("is empty"), errEmptyKey)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, keyName), err)
	}
	s.keys = slices.Concat(e.Keys, own)
	if s.plain || len(s.keys) > 0 {
		return nil
	}
	if err := s.mayMakeKey("is missing"); err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	if s.keys, err = s.makeKey(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, keyName), err)
	}
	return nil
}

// errEmptyKey is the error of a key file without keys, if no grant needs one.
var errEmptyKey = errors.New("no key in it, and no grant is encrypted: remove the file, and xoauthd makes another")

// makeKey creates the file "key". The key is on disk before it encrypts.
func (s *Store) makeKey() ([]Key, error) {
	text := storekey.New() + "\n"
	if err := s.stage(keyName, []byte(text)); err != nil {
		return nil, err
	}
	if err := s.commit(keyName); err != nil {
		return nil, err
	}
	return ParseKeys(text)
}

// ownKeys returns the keys in the file "key", if any.
func (s *Store) ownKeys() ([]Key, error) {
	data, info, err := s.Files.Read(keyName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := private(filepath.Join(s.dir, keyName), info); err != nil {
		return nil, err
	}
	return ParseKeys(string(data))
}

// mayMakeKey returns an error if there are encrypted grants, as after an incomplete restore:
// a new key would be overwritten when the old one is restored, and its grants lost. The
// error says what is wrong with the file of the old key.
func (s *Store) mayMakeKey(how string) error {
	headers, err := s.headers(true)
	if err != nil {
		return err
	}
	for _, h := range headers {
		if h.Key != "" {
			return fmt.Errorf("%s is encrypted with key %s, and the file %q %s: restore that file from a backup; if it is lost, move all %s and %s files away, start xoauthd and authorize the accounts again",
				fileName(h.Account), h.Key, keyName, how, fileSuffix, tempSuffix)
		}
	}
	return nil
}

// Rekey rewrites the grants that are not encrypted as Save would: with another key than the
// first, or in the clear. It returns their number. The error names the files that could not
// be written; they stay readable as long as their key is configured. Rekey skips grants that
// Load refuses, and does not read files again that are known to be current.
func (s *Store) Rekey() (int, error) {
	headers, err := s.headers(false)
	if err != nil {
		return 0, fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	written := 0
	var faults []error
	for _, h := range headers {
		if h == s.header(h.Account) {
			continue
		}
		g, err := s.Load(h.Account)
		if err != nil {
			continue
		}
		if err := s.Save(h.Account, g); err != nil {
			faults = append(faults, err)
			continue
		}
		written++
	}
	return written, errors.Join(faults...)
}

// HasOldKeys reports whether files may be encrypted with another key than the first.
func (s *Store) HasOldKeys() bool { return len(s.keys) > 1 }
