package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// recordSuffix ends the name of the file with an account's record. It is in the directory of
// the grants.
const recordSuffix = ".status"

func recordName(account string) string {
	return strings.TrimSuffix(fileName(account), fileSuffix) + recordSuffix
}

// SaveRecord replaces the record of an account by r, as JSON. A record is what is kept of an
// account beside its grant. The file is written as by SaveState.
func (s *Store) SaveRecord(account string, r any) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.SaveState(recordName(account), data)
}

// LoadRecord reads the record of an account into r, a pointer. The error is fs.ErrNotExist if
// there is none.
func (s *Store) LoadRecord(account string, r any) error {
	data, err := s.LoadState(recordName(account))
	if err == nil && json.Unmarshal(data, r) != nil {
		err = fmt.Errorf("%s: not a record of an account", filepath.Join(s.dir, recordName(account)))
	}
	return err
}
