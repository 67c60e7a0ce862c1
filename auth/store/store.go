// Package store keeps grants in a directory: encrypted, crash-safe, and also on a full disk or
// without file descriptors.
package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/text"
)

// A Store stores grants in a directory, one encrypted file for each account. One process and
// one user can use it. Files are replaced atomically.
type Store struct {
	dir   string
	lock  *dirLock
	Files Files
	keys  []Key // the first encrypts
	plain bool  // grants are not encrypted

	current sync.Map // names of files that are as Save would write them

	migrate bool  // as in Encryption
	foreign []Key // of the file "key", used only to migrate

	recovered []string // see Recovered
	unread    []error  // see Unread
	left      sync.Map // of final names whose temporary files recover has left
	reserve   reserve
}

// ErrInUse is the error, for errors.Is, if another process has the store open.
var ErrInUse = errors.New("in use by another xoauthd")

const (
	lockName   = "lock"
	fileSuffix = ".json"
	tempSuffix = ".tmp" // of a file that is being written
)

// Open opens the store in dir, and creates dir if its parent exists. One process at a time
// can have it open.
func Open(dir string, e Encryption) (*Store, error) {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("state directory: %w: make %s for the user that xoauthd runs as, or set state_directory", err, filepath.Dir(dir))
	case err != nil && !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := privateDir(dir); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state directory: %w", err), lock.Close())
	}
	s := &Store{dir: dir, lock: lock, Files: folder{newDirectory(root)}}
	if err := s.prepare(e); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.KeepReserve()
	return s, nil
}

func privateDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("not a directory")
	}
	err = private(path, info)
	switch {
	case errors.Is(err, errForeign) && unix.Access(path, unix.W_OK|unix.X_OK) == nil:
		return fmt.Errorf("%w, or set state_directory = %q, which xoauthd makes for itself", err, filepath.Join(path, "state"))
	case err != nil && os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return fmt.Errorf("%w (in Kubernetes, an fsGroup undoes that at each start of the pod unless fsGroupChangePolicy is OnRootMismatch)", err)
	}
	return err
}

var errForeign = errors.New("belongs to another user")

// private returns an error if other users can read or replace the directory.
func private(path string, info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: chown %d %s", errForeign, os.Geteuid(), text.ShellWord(path))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("open to other users (mode %04o): chmod go= %s", mode, text.ShellWord(path))
	}
	return nil
}

// Others returns the files of accounts that are not in the configuration, whose grants
// their providers may still accept: the grants of all accounts but granted, and the
// records of all but recorded.
func (s *Store) Others(granted, recorded []string) ([]string, error) {
	names, err := s.Files.List()
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	own := make(map[string]bool, len(granted)+len(recorded))
	for _, a := range granted {
		own[fileName(a)] = true
	}
	for _, a := range recorded {
		own[recordName(a)] = true
	}
	var others []string
	for _, name := range names {
		suffix := filepath.Ext(name)
		if (suffix == fileSuffix || suffix == recordSuffix) && !own[name] {
			others = append(others, filepath.Join(s.dir, name))
		}
	}
	slices.Sort(others)
	return others, nil
}

// Close releases the lock. Afterwards nothing can be loaded or saved.
func (s *Store) Close() error {
	return errors.Join(s.Files.Close(), s.lock.Close())
}

// Load returns the grant of an account. The error is fs.ErrNotExist if there is none; other
// errors name the file and contain the remedy.
func (s *Store) Load(account string) (oauth.Grant, error) {
	name := fileName(account)
	g, err := s.load(name, account)
	if err != nil {
		return oauth.Grant{}, fmt.Errorf("%s: %w", filepath.Join(s.dir, name), err)
	}
	return g, nil
}

func (s *Store) load(name, account string) (oauth.Grant, error) {
	data, info, err := s.Files.Read(name)
	if err != nil {
		return oauth.Grant{}, err
	}
	if err := private(filepath.Join(s.dir, name), info); err != nil {
		return oauth.Grant{}, err
	}
	f, err := s.decode(data, account)
	if err != nil {
		return oauth.Grant{}, err
	}
	if name == fileName(account) && f.header == s.header(account) {
		s.current.Store(name, true)
	}
	return *f.Grant, nil
}

// Save replaces the grant of an account. A file that is not the grant of this account and
// source is kept under a name with the time. After success, the grant survives a power loss;
// after an error, the old or the new one is there.
func (s *Store) Save(account string, g oauth.Grant) error {
	data, err := s.encode(account, g)
	if err != nil {
		return err
	}
	name := fileName(account)
	err = s.save(name, account, g.Source, data)
	if isFull(err) {
		s.giveUpReserve()
		err = s.save(name, account, g.Source, data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, name), err)
	}
	s.KeepReserve()
	return nil
}

func (s *Store) save(name, account, source string, data []byte) error {
	if err := s.stage(name, data); err != nil {
		return err
	}
	if err := s.putAside(name, account, source); err != nil {
		return errors.Join(err, s.Files.Remove(name+tempSuffix))
	}
	return s.commit(name)
}

// Remove removes the grant of an account. After success, that survives a power loss; after an
// error, the grant may still be there. Files that were put aside stay, and a grant of another
// source is put aside.
func (s *Store) Remove(account, source string) error {
	name := fileName(account)
	var err error
	if _, damaged := s.load(name, account); damaged == nil { // remove a damaged file
		err = s.putAside(name, account, source)
	}
	if err == nil {
		err = s.setAside(name) // or the next start may adopt it
	}
	if err == nil {
		err = s.Files.Remove(name)
	}
	if err == nil {
		err = s.Files.Sync()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(s.dir, name), err)
	}
	return nil
}

// putAside keeps a file that is about to be replaced and is not the grant of this account and
// source: a damaged file may be repaired, a key be found, and a configuration be changed
// back. It links the file to a second name, so that the first name always has the old or the
// new file. A file that cannot be read because of the system is most likely the predecessor of
// the new grant, and is not kept.
func (s *Store) putAside(name, account, source string) error {
	g, err := s.load(name, account)
	var unread *fs.PathError
	why := ".damaged-"
	switch {
	case errors.As(err, &unread):
		return nil
	case err != nil:
	case g.RefreshToken == "" || g.Source == "" || source == "" || g.Source == source:
		return nil
	default:
		why = ".other-"
	}
	err = s.Files.Link(name, name+why+time.Now().UTC().Format("20060102T150405Z"))
	if errors.Is(err, fs.ErrExist) { // of an attempt within the same second
		return nil
	}
	return err
}

// stage writes a file so that commit can put it in its place.
func (s *Store) stage(name string, data []byte) error {
	if err := s.setAside(name); err != nil {
		return err
	}
	temp := name + tempSuffix
	if err := s.write(temp, data); err != nil {
		return errors.Join(err, s.Files.Remove(temp))
	}
	return nil
}

func (s *Store) commit(name string) error {
	temp := name + tempSuffix
	if err := s.Files.Rename(temp, name); err != nil {
		return errors.Join(err, s.Files.Remove(temp))
	}
	return s.Files.Sync()
}

func (s *Store) write(name string, data []byte) error {
	f, err := s.Files.Create(name)
	if err != nil {
		return err
	}
	n, err := f.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// longName is the length from which a name is replaced by a hash: with its suffixes it must
// fit into 255 bytes.
const longName = 120

// fileName returns a unique file name for an account. Bytes outside a safe set are
// percent-encoded.
func fileName(account string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.+-_"
	var b strings.Builder
	for i := range len(account) {
		if strings.IndexByte(plain, account[i]) >= 0 {
			b.WriteByte(account[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", account[i])
		}
	}
	name := b.String()
	if len(name) > longName {
		sum := sha256.Sum256([]byte(account))
		name = name[:longName] + "~" + hex.EncodeToString(sum[:])
	}
	return name + fileSuffix
}

// Dir returns the state directory.
func (s *Store) Dir() string { return s.dir }
