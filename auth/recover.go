package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// recover takes over what a process that was killed while it saved has left in
// temporary files, and removes what is of no use. A provider may have put the
// refresh token in such a file in the place of the one that is under the file's
// final name.
func (s *Store) recover() error {
	names, err := s.files.list()
	if err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	slices.Sort(names)
	for _, temp := range names {
		name, ok := strings.CutSuffix(temp, tempSuffix)
		if !ok {
			continue
		}
		err := s.adopt(name)
		if errors.Is(err, errUseless) {
			err = s.files.remove(temp)
		}
		if err != nil {
			return fmt.Errorf("state directory %s: %w", s.dir, err)
		}
	}
	return nil
}

var errUseless = errors.New("not the latest grant of an account")

// adopt gives a temporary file its final name, if it has a later grant of the
// account than the file of that name. A file that is encrypted with a key that is
// not there stays as it is.
func (s *Store) adopt(name string) error {
	temp := name + tempSuffix
	account, ok := s.accountOf(temp, name)
	if !ok {
		return errUseless
	}
	g, err := s.load(temp, account)
	var absent *keyAbsent
	switch {
	case errors.As(err, &absent):
		return nil
	case err != nil:
		return errUseless
	}
	if current, err := s.load(name, account); err == nil && !g.follows(current, time.Now()) {
		return errUseless
	}
	if err := s.files.flush(temp); err != nil {
		return err
	}
	if err := s.putAside(name, account, g.Source); err != nil {
		return err
	}
	if err := s.commit(name); err != nil {
		return err
	}
	s.recovered = append(s.recovered, account)
	return nil
}

// accountOf is the account of which a file says that it has the grant, where the
// file can have the final name then.
func (s *Store) accountOf(file, name string) (account string, ok bool) {
	data, _, err := s.files.read(file)
	if err != nil {
		return "", false
	}
	var f grantFile
	err = json.Unmarshal(data, &f)
	return f.Account, err == nil && fileName(f.Account) == name
}

// follows reports whether g, which was about to be saved, is later than the
// grant that was saved last.
func (g Grant) follows(saved Grant, now time.Time) bool {
	switch {
	case saved.issued().After(now.Add(setBack)): // by a clock that was ahead
		return true
	case !g.issued().Equal(saved.issued()):
		return g.issued().After(saved.issued())
	}
	return g.RefreshToken != saved.RefreshToken
}

// Recovered returns the accounts whose grants were found in temporary files when
// the store was opened, and are in use now.
func (s *Store) Recovered() []string { return slices.Clone(s.recovered) }
