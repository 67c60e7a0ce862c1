package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/storekey"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
)

// TestRecover: the next start adopts a temporary file that has a later grant of the
// account. It removes one that cannot have a later grant, and leaves all others.
func TestRecover(t *testing.T) {
	ahead := granted(-400 * 24 * time.Hour)
	rotated := granted(0)
	rotated.Obtained = ahead.Obtained
	for _, tt := range []struct {
		name    string
		saved   oauth.Grant // empty: none
		left    func(t *testing.T, s *Store) string
		adopted bool
		stays   bool // where it is
	}{
		{"a later grant", granted(0), temporary(laterThan(granted(0))), true, false},
		{"the first grant", oauth.Grant{}, temporary(granted(0)), true, false},
		{"a rotated token without a use", granted(0), temporary(func() oauth.Grant { g := granted(0); g.RefreshToken = "refresh1"; return g }()), true, false},
		{"after a clock that was ahead", ahead, temporary(laterThan(granted(0))), true, false},
		{"an earlier grant", laterThan(granted(0)), temporary(granted(time.Hour)), false, false},
		{"half of it", granted(0), func(t *testing.T, s *Store) string {
			whole := temporary(laterThan(granted(0)))(t, s)
			return whole[:len(whole)/2]
		}, false, false},
		{"nothing", granted(0), func(*testing.T, *Store) string { return "" }, false, false},
		{"zeros", granted(0), func(*testing.T, *Store) string { return strings.Repeat("\x00", 100) }, false, false},
		{"half of it, and zeros", granted(0), func(t *testing.T, s *Store) string {
			whole := temporary(laterThan(granted(0)))(t, s)
			return whole[:len(whole)/2] + strings.Repeat("\x00", len(whole)/2)
		}, false, false},
		{"a newer format", granted(0), func(*testing.T, *Store) string {
			return `{"version":3,"account":["joe"],"grants":[]}`
		}, false, true},
		{"in the clear", granted(0), func(t *testing.T, _ *Store) string {
			return temporary(laterThan(granted(0)))(t, &Store{plain: true})
		}, false, true},
		{"another account's", granted(0), func(t *testing.T, s *Store) string {
			data, err := s.encode("ann", laterThan(granted(0)))
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}, false, false},
		{"another account's, renamed", granted(0), func(t *testing.T, s *Store) string {
			data, err := s.encode("ann", laterThan(granted(0)))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Replace(string(data), `"ann"`, `"joe"`, 1)
		}, false, true},
		{"with a key that is not there", granted(0), func(t *testing.T, s *Store) string {
			keys, err := ParseKeys(storekey.New())
			if err != nil {
				t.Fatal(err)
			}
			return temporary(laterThan(granted(0)))(t, &Store{keys: keys})
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			s := openStore(t, dir)
			if !tt.saved.Empty() {
				if err := s.Save("joe", tt.saved); err != nil {
					t.Fatal(err)
				}
			}
			temp := filepath.Join(dir, "joe.json"+tempSuffix)
			writeFile(t, temp, tt.left(t, s), 0o600)
			writeFile(t, filepath.Join(dir, "key"+tempSuffix), storekey.New(), 0o600)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			s = openStore(t, dir)
			if got := slices.Equal(s.Recovered(), []string{"joe"}); got != tt.adopted {
				t.Errorf("recovered: %v", s.Recovered())
			}
			g, err := s.Load("joe")
			if want := tt.saved.RefreshToken; !tt.adopted && (g.RefreshToken != want || err != nil) {
				t.Errorf("the grant is %+v, %v", g, err)
			}
			if tt.adopted && (g.RefreshToken == tt.saved.RefreshToken || err != nil) {
				t.Errorf("the grant is %+v, %v", g, err)
			}
			names, err := s.Files.List()
			if err != nil {
				t.Fatal(err)
			}
			left := slices.DeleteFunc(names, func(name string) bool { return !isTemporary(name) })
			if want := tt.stays; (len(left) > 0) != want || (len(s.Unread()) > 0) != want {
				t.Errorf("left: %v; reported: %v", left, s.Unread())
			}
		})
	}
}

// temporary is the file of a grant of joe's.
func temporary(g oauth.Grant) func(t *testing.T, s *Store) string {
	return func(t *testing.T, s *Store) string {
		t.Helper()
		data, err := s.encode("joe", g)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// laterThan returns a grant that follows g.
func laterThan(g oauth.Grant) oauth.Grant {
	g.AccessToken, g.RefreshToken, g.Refreshed = "token1", "refresh1", g.Obtained.Add(time.Minute)
	return g
}

// TestRecoverFaults: a fault of the system during a start costs no grant.
func TestRecoverFaults(t *testing.T) {
	for _, tt := range []struct {
		name, File, step string
		fatal            bool
	}{
		{"the temporary file cannot be read", "joe.json.tmp", "read", false},
		{"the account's file cannot be read", "joe.json", "read", false},
		{"it cannot be renamed", "", "rename", true},
	} {
		for _, cause := range []error{syscall.EIO, syscall.EACCES, syscall.EMFILE} {
			t.Run(tt.name+": "+cause.Error(), func(t *testing.T) {
				dir := stateDir(t)
				s := openStore(t, dir)
				if err := s.Save("joe", granted(0)); err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(dir, "joe.json.tmp"), temporary(laterThan(granted(0)))(t, s), 0o600)
				folder := s.Files
				s.Files = &faultyAt{*faultfs.Failing(folder, tt.step, cause), tt.File}
				if err := s.recover(); (err != nil) != tt.fatal {
					t.Errorf("recover: %v", err)
				}
				if unread := errors.Join(s.Unread()...); !tt.fatal && !errors.Is(unread, cause) {
					t.Errorf("unread: %v", unread)
				}
				s.Files = folder
				if g, err := s.Load("joe"); err != nil || g.RefreshToken != "refresh0" {
					t.Errorf("meanwhile: %+v, %v", g, err)
				}
				s.Close()
				if g, err := openStore(t, dir).Load("joe"); err != nil || g.RefreshToken != "refresh1" {
					t.Errorf("after the fault: %+v, %v", g, err)
				}
			})
		}
	}
}

// A faultyAt folder fails at one step, where that reads a file, only for that file.
type faultyAt struct {
	faultfs.Faulty
	name string
}

func (f *faultyAt) Read(name string) ([]byte, fs.FileInfo, error) {
	if name != f.name {
		return f.Files.Read(name)
	}
	return f.Faulty.Read(name)
}

// TestRecoverWithoutMigrate: a later grant of an earlier configuration survives a
// start without "migrate".
func TestRecoverWithoutMigrate(t *testing.T) {
	for _, plain := range []bool{true, false} {
		dir, keys := stateDir(t), someKeys(t, 'a')
		s := openWith(t, dir, Encryption{Plain: plain})
		if err := s.Save("joe", granted(0)); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "joe.json.tmp"), temporary(laterThan(granted(0)))(t, s), 0o600)
		s.Close()
		openWith(t, dir, Encryption{Keys: keys}).Close()
		s = openWith(t, dir, Encryption{Keys: keys, Migrate: true})
		if g, err := s.Load("joe"); err != nil || g.RefreshToken != "refresh1" {
			t.Errorf("plain: %v: %+v, %v", plain, g, err)
		}
	}
}

// TestLeftSetAside: a temporary file that could not be read is not overwritten by
// another grant of the account, and not adopted after its removal.
func TestLeftSetAside(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(s *Store) error
		want string // the refresh token at the next start with all keys
	}{
		{"saved", func(s *Store) error { return s.Save("joe", granted(time.Hour)) }, "refresh0"},
		{"removed", func(s *Store) error { return s.Remove("joe", "") }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, keys := stateDir(t), someKeys(t, 'a', 'b')
			temp := filepath.Join(dir, "joe.json.tmp")
			s := openWith(t, dir, Encryption{Keys: keys[:1]})
			writeFile(t, temp, temporary(laterThan(granted(0)))(t, &Store{keys: keys[1:]}), 0o600)
			s.Close()
			before := readFile(t, temp)

			s = openWith(t, dir, Encryption{Keys: keys[:1]})
			if err := tt.do(s); err != nil {
				t.Fatal(err)
			}
			aside, err := filepath.Glob(temp + ".damaged-*")
			if err != nil || len(aside) != 1 || readFile(t, aside[0]) != before {
				t.Errorf("set aside: %q, %v", aside, err)
			}
			if err := tt.do(s); err != nil {
				t.Errorf("again: %v", err)
			}
			s.Close()

			s = openWith(t, dir, Encryption{Keys: keys})
			if g, err := s.Load("joe"); g.RefreshToken != tt.want || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("with all keys: %+v, %v", g, err)
			}
		})
	}
}

// TestRecoverOtherSource: a recovered grant of another source replaces the file, which is
// put aside, as when another grant is saved.
func TestRecoverOtherSource(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	before, after := granted(time.Hour), granted(0)
	before.Source, after.Source = "a.example client", "b.example client"
	if err := s.Save("joe", before); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "joe.json"+tempSuffix), temporary(after)(t, s), 0o600)
	s.Close()
	s = openStore(t, dir)
	if g, err := s.Load("joe"); err != nil || g.Source != after.Source {
		t.Errorf("%+v, %v", g, err)
	}
	if names, err := s.Files.List(); err != nil || !slices.ContainsFunc(names, isAside) {
		t.Errorf("%v, %v", names, err)
	}
}

// TestKeyAbsentButNeeded: no key is made while a temporary file is encrypted with
// another one.
func TestKeyAbsentButNeeded(t *testing.T) {
	for _, how := range []string{"is missing", "is empty"} {
		dir := stateDir(t)
		s := openStore(t, dir)
		writeFile(t, filepath.Join(dir, "joe.json"+tempSuffix), temporary(granted(0))(t, s), 0o600)
		s.Close()
		key := filepath.Join(dir, keyName)
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if how == "is empty" {
			writeFile(t, key, "", 0o600)
		}
		_, err := Open(dir, Encryption{})
		if err == nil || !strings.Contains(err.Error(), `the file "key" `+how+`: restore that file from a backup`) || strings.Contains(err.Error(), "make-key") {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// TestEmptyKey: where nothing is encrypted, an empty file of keys can go.
func TestEmptyKey(t *testing.T) {
	dir := stateDir(t)
	openStore(t, dir).Close()
	writeFile(t, filepath.Join(dir, keyName), "\n", 0o600)
	if _, err := Open(dir, Encryption{}); err == nil || !strings.Contains(err.Error(), "remove the file, and xoauthd makes another") {
		t.Errorf("%v", err)
	}
}
