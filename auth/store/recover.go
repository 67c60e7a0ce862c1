package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// recover adopts the grants that a killed daemon has left in temporary files: the
// refresh token in such a file may have replaced the one in the account's file. It
// removes temporary files that can hold no later grant, and leaves all others.
func (s *Store) recover() error {
	names, err := s.Files.List()
	if err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	slices.Sort(names)
	for _, temp := range names {
		name, ok := strings.CutSuffix(temp, tempSuffix)
		if !ok {
			continue
		}
		if err := s.recoverFile(name); err != nil {
			return fmt.Errorf("state directory %s: %w", s.dir, err)
		}
	}
	return nil
}

// recoverFile adopts, removes or leaves the temporary file for name.
func (s *Store) recoverFile(name string) error {
	temp := name + tempSuffix
	if !strings.HasSuffix(name, fileSuffix) { // no other file holds a grant
		return s.Files.Remove(temp)
	}
	account, g, err := s.loadTemporary(name)
	switch {
	case errors.Is(err, errUseless):
		return s.Files.Remove(temp)
	case err != nil:
		s.leave(name, err)
		return nil
	}
	current, err := s.load(name, account)
	var unread *fs.PathError
	switch {
	case err == nil && !follows(g, current, time.Now()):
		return s.Files.Remove(temp)
	case errors.As(err, &unread) && !errors.Is(err, fs.ErrNotExist):
		s.leave(name, fmt.Errorf("%s cannot be read, and may hold the later grant: %w", name, err))
		return nil
	}
	return s.adopt(name, account, g.Source)
}

var errUseless = errors.New("empty, incomplete, or of another account")

// loadTemporary returns the grant in the temporary file for name, and its account.
// The error is errUseless if the file cannot hold a grant of that account.
func (s *Store) loadTemporary(name string) (account string, g oauth.Grant, err error) {
	data, _, err := s.Files.Read(name + tempSuffix)
	if err != nil {
		return "", oauth.Grant{}, err
	}
	var h header
	data = bytes.TrimRight(data, "\x00") // a power failure can leave zeros where nothing was written
	err = json.NewDecoder(bytes.NewReader(data)).Decode(&h)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "", oauth.Grant{}, errUseless
	case err == nil && h.Version <= formatSealed && fileName(h.Account) != name:
		return "", oauth.Grant{}, errUseless
	}
	g, err = s.load(name+tempSuffix, h.Account)
	return h.Account, g, err
}

// adopt renames the temporary file for name to name. If it fails, both files stay.
func (s *Store) adopt(name, account, source string) error {
	temp := name + tempSuffix
	if err := s.Files.Flush(temp); err != nil {
		return err
	}
	if err := s.putAside(name, account, source); err != nil {
		return err
	}
	if err := s.Files.Rename(temp, name); err != nil {
		return err
	}
	s.current.Delete(name) // the file of that name is another one now
	s.recovered = append(s.recovered, account)
	return s.Files.Sync()
}

// leave notes that the temporary file for name stays, because of err.
func (s *Store) leave(name string, err error) {
	s.left.Store(name, true)
	s.unread = append(s.unread, fmt.Errorf("%s: %w", filepath.Join(s.dir, name+tempSuffix), err))
}

// setAside renames the temporary file for name if recover has left it, so that the
// next grant does not overwrite it.
func (s *Store) setAside(name string) error {
	if _, left := s.left.Load(name); !left {
		return nil
	}
	temp := name + tempSuffix
	err := s.Files.Rename(temp, temp+".damaged-"+time.Now().UTC().Format("20060102T150405.000000000Z"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.left.Delete(name)
	return nil
}

// follows reports whether g, which was about to be saved, is later than the
// grant that was saved last.
func follows(g, saved oauth.Grant, now time.Time) bool {
	switch {
	case saved.Issued().After(now.Add(oauth.ClockTolerance)): // by a clock that was ahead
		return true
	case !g.Issued().Equal(saved.Issued()):
		return g.Issued().After(saved.Issued())
	}
	return g.RefreshToken != saved.RefreshToken
}

// Recovered returns the accounts whose grants were found in temporary files when
// the store was opened, and are in use now.
func (s *Store) Recovered() []string { return slices.Clone(s.recovered) }

// Unread returns an error for each temporary file that OpenStore could not read or
// compare. The file stays, under another name once the account has another grant.
func (s *Store) Unread() []error { return slices.Clone(s.unread) }
