package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// The formats of a grant file. A change that an older daemon would misread needs a new
// format.
const (
	formatPlain  = 1 // the grant in the clear
	formatSealed = 2 // the grant encrypted
)

// A header is the unencrypted part of a file.
type header struct {
	Version int    `json:"version"`
	Account string `json:"account"`
	Key     string `json:"key,omitempty"` // its ID, if the file is encrypted
}

// A grantFile is the file of an account, with a plain or an encrypted grant.
type grantFile struct {
	header
	Sealed []byte `json:"sealed,omitempty"` // nonce and ciphertext of a Grant in JSON
	*oauth.Grant
}

// context is the additional data of the AEAD. It binds the ciphertext to account, key and
// format. The ID has a fixed length, so no two headers have the same context.
func (h header) context() []byte {
	return fmt.Appendf(nil, "xoauthd grant %d\x00%s\x00%s", h.Version, h.Key, h.Account)
}

// header returns the header of new files.
func (s *Store) header(account string) header {
	if s.plain {
		return header{Version: formatPlain, Account: account}
	}
	return header{formatSealed, account, s.keys[0].id}
}

// encode returns the content of a grant file.
func (s *Store) encode(account string, g oauth.Grant) ([]byte, error) {
	f := grantFile{header: s.header(account)}
	if s.plain {
		f.Grant = &g
	} else {
		data, err := json.Marshal(g)
		if err != nil {
			return nil, err
		}
		f.Sealed = s.keys[0].seal(data, f.context())
	}
	data, err := json.MarshalIndent(f, "", "\t")
	return append(data, '\n'), err
}

// remedy is the remedy for unreadable files.
const remedy = "restore it from a backup and restart xoauthd, or authorize the account again"

// decode parses a file and decrypts its grant. Its errors contain the remedy.
func (s *Store) decode(data []byte, account string) (f grantFile, err error) {
	err = json.Unmarshal(data, &f)
	switch {
	case len(data) == 0:
		return grantFile{}, errors.New("the file is empty: " + remedy)
	case f.Version > formatSealed:
		return grantFile{}, fmt.Errorf("written by a newer xoauthd (format %d): upgrade, or authorize the account again", f.Version)
	case err != nil: // not shown, because it may quote the file
		return grantFile{}, errors.New("the file is damaged: " + remedy)
	case f.Version < formatPlain:
		return grantFile{}, errors.New("the file has no grant in it: " + remedy)
	case f.Account != account:
		return grantFile{}, fmt.Errorf("the file is that of account %q: %s", f.Account, remedy)
	case f.Version == formatPlain && !s.plain && !s.migrate:
		return grantFile{}, errors.New("the grant is not encrypted, so anybody could have put it there: " + migration)
	case f.Version == formatSealed:
		if f.Grant, err = s.unseal(f); err != nil {
			return grantFile{}, err
		}
	}
	if f.Grant == nil || f.Empty() {
		return grantFile{}, errors.New("the file has no grant in it: " + remedy)
	}
	return f, nil
}

// migration is the remedy for grants of an earlier configuration.
const migration = `if xoauthd wrote it before [store] was changed, set encrypt = "migrate" there for one start; if not, authorize the account again`

// unseal decrypts a grant. Its errors distinguish a missing key, which the administrator can
// add, from a damaged file.
func (s *Store) unseal(f grantFile) (*oauth.Grant, error) {
	is := func(k Key) bool { return k.id == f.Key }
	i := slices.IndexFunc(s.keys, is)
	if i < 0 && slices.ContainsFunc(s.foreign, is) {
		return nil, fmt.Errorf("encrypted with key %s, which is beside the grants and not in the configuration, so anybody could have put it there: %s", f.Key, migration)
	}
	if i < 0 {
		return nil, fmt.Errorf("encrypted with key %s, and xoauthd has %s: add that key and restart xoauthd, or authorize the account again", f.Key, s.keyIDs())
	}
	data, err := s.keys[i].open(f.Sealed, f.context())
	if err != nil {
		return nil, errors.New("the file is damaged, or not as xoauthd wrote it: " + remedy)
	}
	g := new(oauth.Grant)
	if err := json.Unmarshal(data, g); err != nil {
		return nil, errors.New("the file has no grant in it: " + remedy)
	}
	return g, nil
}

func (s *Store) keyIDs() string {
	if len(s.keys) == 0 {
		return "none"
	}
	ids := make([]string, len(s.keys))
	for i, k := range s.keys {
		ids[i] = k.id
	}
	return "only " + strings.Join(ids, ", ")
}

// headers returns the headers of readable grant files, with or without temporary ones.
func (s *Store) headers(temporary bool) ([]header, error) {
	names, err := s.Files.List()
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []header
	for _, name := range names {
		final, isTemporary := strings.CutSuffix(name, tempSuffix)
		if !strings.HasSuffix(final, fileSuffix) || isTemporary && !temporary {
			continue
		}
		if _, current := s.current.Load(name); current && !temporary {
			continue
		}
		data, _, err := s.Files.Read(name)
		if err != nil {
			continue
		}
		var f grantFile
		if json.Unmarshal(data, &f) == nil && fileName(f.Account) == final {
			all = append(all, f.header)
		}
	}
	return all, nil
}
