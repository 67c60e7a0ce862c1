package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/storekey"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
)

// plainFile is joe's file as it was before there was encryption.
const plainFile = `{
	"version": 1,
	"account": "joe",
	"access_token": "token0",
	"refresh_token": "refresh0",
	"expiry": "2026-11-23T12:00:00Z",
	"obtained": "2026-11-23T11:00:00Z"
}
`

// reopen opens the store of dir with e, writes anew what there is to be, closes
// it, and returns how many files that were.
func reopen(t *testing.T, dir string, e Encryption) (written int) {
	t.Helper()
	s := openWith(t, dir, e)
	defer s.Close()
	written, err := s.Rekey()
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Load("joe")
	if err != nil || g.RefreshToken != "refresh0" || g.AccessToken != "token0" {
		t.Fatalf("after that: %+v, %v", g, err)
	}
	return written
}

// headerOf returns what joe's file says of itself.
func headerOf(t *testing.T, dir string) header {
	t.Helper()
	s := &Store{dir: dir, Files: folder{newDirectory(openRoot(t, dir))}}
	defer s.Files.Close()
	all, err := s.headers(false)
	if err != nil || len(all) != 1 {
		t.Fatalf("headers %+v, %v", all, err)
	}
	return all[0]
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A folder's life: each step is a restart with other settings, and none of them
// costs the grant.
func TestRekey(t *testing.T) {
	keys := someKeys(t, 'a', 'b', 'c')
	a, b, c := keys[0], keys[1], keys[2]
	dir := stateDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "joe.json")
	writeFile(t, path, plainFile, 0o600)
	for _, step := range []struct {
		name    string
		e       Encryption
		written int
		key     string // in the end, or empty: in the clear
	}{
		{"plain on request", Encryption{Plain: true}, 0, ""},
		{"migrated, with a key of its own", Encryption{Keys: keys[:1], Migrate: true}, 1, a.ID()},
		{"started again", Encryption{Keys: keys[:1]}, 0, a.ID()},
		{"a new key first", Encryption{Keys: []Key{b, a}}, 1, b.ID()},
		{"the old one taken away", Encryption{Keys: []Key{b}}, 0, b.ID()},
		{"another behind it", Encryption{Keys: []Key{b, c}}, 0, b.ID()},
		{"plain again", Encryption{Keys: []Key{b}, Plain: true}, 1, ""},
		{"plain without a key", Encryption{Plain: true}, 0, ""},
		{"and back", Encryption{Keys: []Key{c}, Migrate: true}, 1, c.ID()},
	} {
		if n := reopen(t, dir, step.e); n != step.written {
			t.Fatalf("%s: %d files written anew, want %d", step.name, n, step.written)
		}
		h := headerOf(t, dir)
		if h.Key != step.key || (h.Version == formatPlain) != (step.key == "") {
			t.Fatalf("%s: the file is %+v", step.name, h)
		}
		if plain := strings.Contains(readFile(t, path), "refresh0"); plain != (step.key == "") {
			t.Errorf("%s: it holds %s", step.name, readFile(t, path))
		}
		if _, err := os.Lstat(filepath.Join(dir, keyName)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a key was made: %v", step.name, err)
		}
	}
}

// The key of the folder needs no word in the configuration: not when it is
// first needed, not when another takes over, not when it is rotated in place.
func TestKeyOfTheFolder(t *testing.T) {
	dir := stateDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "joe.json"), plainFile, 0o600)
	if n := reopen(t, dir, Encryption{Migrate: true}); n != 1 {
		t.Fatalf("migrated: %d files written anew", n)
	}
	path := filepath.Join(dir, keyName)
	text := readFile(t, path)
	first := headerOf(t, dir).Key
	if keys, err := ParseKeys(text); err != nil || len(keys) != 1 || keys[0].ID() != first {
		t.Fatalf("key %v, %v; the file is encrypted with %s", keys, err, first)
	}
	if n := reopen(t, dir, Encryption{}); n != 0 || readFile(t, path) != text {
		t.Errorf("at the next start: %d files written anew, or another key", n)
	}
	writeFile(t, path, textOf('a')+"\n"+text, 0o600)
	if n := reopen(t, dir, Encryption{}); n != 1 || headerOf(t, dir).Key == first {
		t.Errorf("rotated in place: %d files written anew", n)
	}
	b := someKeys(t, 'b')
	if n := reopen(t, dir, Encryption{Keys: b, Migrate: true}); n != 1 || headerOf(t, dir).Key != b[0].ID() {
		t.Errorf("another took over: %d files written anew", n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if n := reopen(t, dir, Encryption{Keys: b}); n != 0 {
		t.Errorf("without it: %d files written anew", n)
	}
}

// TestPlantedGrants puts files into the folder that the keys of the configuration did
// not encrypt. They are refused, and left as they are, until they are migrated.
func TestPlantedGrants(t *testing.T) {
	keys := someKeys(t, 'a', 'b')
	foreign := stateDir(t)
	other := openWith(t, foreign, Encryption{Keys: keys[1:]})
	if err := other.Save("joe", granted(0)); err != nil {
		t.Fatal(err)
	}
	sealed := readFile(t, filepath.Join(foreign, "joe.json"))
	for _, row := range []struct {
		name     string
		e        Encryption
		key, joe string // files; empty: none
		want     string
	}{
		{"in the clear", Encryption{}, "", plainFile, "the grant is not encrypted"},
		{"in the clear, beside keys", Encryption{Keys: keys[:1]}, "", plainFile, "the grant is not encrypted"},
		{"with a key of its own", Encryption{Keys: keys[:1]}, textOf('b') + "\n", sealed, "encrypted with key " + keys[1].ID() + ", which is beside the grants"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := stateDir(t)
			s := openWith(t, dir, row.e)
			if err := s.Save("ann", granted(0)); err != nil {
				t.Fatal(err)
			}
			s.Close()
			path := filepath.Join(dir, "joe.json")
			writeFile(t, path, row.joe, 0o600)
			if row.key != "" {
				writeFile(t, filepath.Join(dir, keyName), row.key, 0o600)
			}
			s = openWith(t, dir, row.e)
			if n, err := s.Rekey(); n != 0 || err != nil {
				t.Errorf("%d files were written anew, %v", n, err)
			}
			_, err := s.Load("joe")
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), `set encrypt = "migrate"`) {
				t.Errorf("err = %v, want %s", err, row.want)
			}
			if readFile(t, path) != row.joe {
				t.Error("the file was changed")
			}
			s.Close()
			row.e.Migrate = true
			if n := reopen(t, dir, row.e); n != 1 {
				t.Errorf("migrated: %d files written anew", n)
			}
			row.e.Migrate = false
			if n := reopen(t, dir, row.e); n != 0 {
				t.Errorf("afterwards: %d files written anew", n)
			}
		})
	}
}

// TestPlantedKey holds that a file "key" which is of no use does no harm where the
// keys come from elsewhere.
func TestPlantedKey(t *testing.T) {
	dir, e := stateDir(t), Encryption{Keys: someKeys(t, 'a')}
	s := openWith(t, dir, e)
	if err := s.Save("joe", granted(0)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	writeFile(t, filepath.Join(dir, keyName), "no key", 0o666)
	if n := reopen(t, dir, e); n != 0 {
		t.Errorf("%d files written anew", n)
	}
}

// Half a backup: grants without their key. Nothing is made in its place.
func TestKeyOfTheFolderIsMissing(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	if err := s.Save("joe", granted(0)); err != nil {
		t.Fatal(err)
	}
	id := s.keys[0].ID()
	s.Close()
	path := filepath.Join(dir, keyName)
	if err := os.Rename(path, path+".kept"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := Open(dir, Encryption{})
		want := fmt.Sprintf("state directory %s: joe.json is encrypted with key %s, and the file \"key\" is missing: restore that file from a backup", dir, id)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Fatalf("err = %v, want %s", err, want)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a key was made: %v", err)
		}
	}
	// On request there is no key to be made, and the account tells.
	plain := openWith(t, dir, Encryption{Plain: true})
	if _, err := plain.Load("joe"); err == nil || !strings.Contains(err.Error(), "encrypted with key "+id+", and xoauthd has none: add that key") {
		t.Errorf("err = %v", err)
	}
	plain.Close()
	if err := os.Rename(path+".kept", path); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t, dir).Load("joe"); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func TestKeyOfTheFolderIsRefused(t *testing.T) {
	for _, row := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"empty", "", 0o600, "no key in it"},
		{"damaged", textOf('a')[:30], 0o600, "line 1 is not a key"},
		{"readable by the group", textOf('a'), 0o640, "chmod go="},
		{"a link", "", 0, "not a regular file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := stateDir(t)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, keyName)
			if row.mode != 0 {
				writeFile(t, path, row.content, row.mode)
			} else if err := os.Symlink("/dev/zero", path); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, Encryption{})
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("err = %v, want: %s", err, row.want)
			}
			if row.mode != 0 && readFile(t, path) != row.content {
				t.Error("the file was changed")
			}
		})
	}
}

// A key that is not surely on disk encrypts nothing.
func TestKeyCannotBeMade(t *testing.T) {
	for _, tt := range faultfs.Faults {
		dir := stateDir(t)
		s := openStore(t, dir)
		if err := os.Remove(filepath.Join(dir, keyName)); err != nil {
			t.Fatal(err)
		}
		real := s.Files
		s.Files = faultfs.Failing(real, tt.Step, tt.Err)
		if err := s.prepare(Encryption{}); err == nil || tt.Err != nil && !errors.Is(err, tt.Err) || len(s.keys) > 0 {
			t.Errorf("%s: err = %v, and %d keys", tt.Step, err, len(s.keys))
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*"+tempSuffix)); err != nil || len(left) > 0 {
			t.Errorf("%s: left in the folder: %v, %v", tt.Step, left, err)
		}
		s.Files = real
		if err := s.prepare(Encryption{}); err != nil || len(s.keys) != 1 {
			t.Errorf("%s, later: err = %v, and %d keys", tt.Step, err, len(s.keys))
		}
	}
}

// A daemon that is killed while it makes the key leaves none, or the one that the
// next daemon takes.
func TestCrashWhileKeyIsMade(t *testing.T) {
	s := openStore(t, stateDir(t))
	if err := os.Remove(filepath.Join(s.dir, keyName)); err != nil {
		t.Fatal(err)
	}
	var crashes []string
	s.Files = faultfs.Watch(s.Files, func(string) {
		dir := stateDir(t)
		copyPrivate(t, dir, s.dir)
		crashes = append(crashes, dir)
	})
	if err := s.prepare(Encryption{}); err != nil {
		t.Fatal(err)
	}
	for i, dir := range crashes {
		next := openStore(t, dir)
		last := i == len(crashes)-1
		if taken := next.keys[0].ID() == s.keys[0].ID(); taken != last || len(next.keys) != 1 {
			t.Errorf("step %d: the key was taken: %v; there are %d", i, taken, len(next.keys))
		}
	}
	if len(crashes) != 7 {
		t.Errorf("%d steps", len(crashes))
	}
}

// A full disk keeps no grant from being read under its old key.
func TestRekeyCannotWrite(t *testing.T) {
	keys := someKeys(t, 'a', 'b')
	for _, tt := range faultfs.Faults {
		dir := stateDir(t)
		s := openWith(t, dir, Encryption{Keys: keys[:1]})
		if err := s.Save("joe", granted(0)); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = openWith(t, dir, Encryption{Keys: []Key{keys[1], keys[0]}})
		s.Files = faultfs.Failing(s.Files, tt.Step, tt.Err)
		if n, err := s.Rekey(); n != 0 || err == nil || !strings.Contains(err.Error(), "joe.json") {
			t.Errorf("%s: %d written anew, %v", tt.Step, n, err)
		}
		if g, err := s.Load("joe"); err != nil || g.RefreshToken != "refresh0" {
			t.Errorf("%s: %+v, %v", tt.Step, g, err)
		}
	}
}

// Files that are of no account, or that cannot be read, are nobody's business.
func TestRekeyPassesOver(t *testing.T) {
	dir := stateDir(t)
	s := openWith(t, dir, Encryption{Keys: someKeys(t, 'a')})
	others := map[string]string{
		"ann.json":                             plainFile, // joe's
		"bob.json":                             "{",
		"joe.json.damaged-20261123T110000Z":    plainFile,
		"eve.json":                             `{"version":3,"account":"eve"}`,
		"notes.txt":                            plainFile,
		fileName("zoe"):                        `{"version":1,"account":"zoe"}`,
		fileName("sealed with an unknown key"): `{"version":2,"account":"sealed with an unknown key","key":"00000000","sealed":"AAAA"}`,
	}
	for name, content := range others {
		writeFile(t, filepath.Join(dir, name), content, 0o600)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Rekey(); n != 0 || err != nil {
		t.Errorf("%d written anew, %v", n, err)
	}
	for name, content := range others {
		if readFile(t, filepath.Join(dir, name)) != content {
			t.Errorf("%s was changed", name)
		}
	}
	s.Files = unlistable{s.Files}
	if _, err := s.Rekey(); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder that cannot be listed: %v", err)
	}
}

type unlistable struct{ Files }

func (unlistable) List() ([]string, error) { return nil, syscall.EIO }

// countedReads counts how often files are read.
type countedReads struct {
	Files
	reads map[string]int
}

func (c *countedReads) Read(name string) ([]byte, fs.FileInfo, error) {
	c.reads[name]++
	return c.Files.Read(name)
}

// Rekey does not read again what was loaded and is right; it rewrites the rest, whether
// or not that was loaded.
func TestRekeyReadsOnce(t *testing.T) {
	dir := stateDir(t)
	old, key := storekey.New(), storekey.New()
	for _, text := range []string{old, key + "\n" + old} {
		keys, err := ParseKeys(text)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Encryption{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"loaded.json": 1, "other.json": 1}
		rewritten := 0
		if text == old {
			for name := range want {
				if err := s.Save(strings.TrimSuffix(name, ".json"), oauth.Grant{RefreshToken: "refresh"}); err != nil {
					t.Fatal(err)
				}
			}
		} else {
			rewritten = len(want)
		}
		counted := &countedReads{s.Files, make(map[string]int)}
		s.Files = counted
		if _, err := s.Load("loaded"); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Rekey(); n != rewritten || err != nil {
			t.Errorf("%d were rewritten, %v; want %d", n, err, rewritten)
		}
		if text == old && !maps.Equal(counted.reads, want) {
			t.Errorf("read %v, want %v", counted.reads, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRekeyAfterKill: whichever file a kill during Rekey or Save leaves under which
// key, the next Rekey brings the account's file to the first key.
func TestRekeyAfterKill(t *testing.T) {
	keys := someKeys(t, 'a', 'b')
	older, newer := keys[:1], keys[1:]
	for _, tt := range []struct {
		name        string
		saved, left []Key
		grant       oauth.Grant // in the temporary file
	}{
		{"during Rekey", older, newer, granted(0)},
		{"during Save, after Rekey was undone", newer, older, laterThan(granted(0))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			s := openWith(t, dir, Encryption{Keys: tt.saved})
			if err := s.Save("joe", granted(0)); err != nil {
				t.Fatal(err)
			}
			s.Close()
			writeFile(t, filepath.Join(dir, "joe.json.tmp"), temporary(tt.grant)(t, &Store{keys: tt.left}), 0o600)

			s = openWith(t, dir, Encryption{Keys: slices.Concat(newer, older)})
			if n, err := s.Rekey(); n != 1 || err != nil {
				t.Errorf("written: %d, %v", n, err)
			}
			s.Close()
			g, err := openWith(t, dir, Encryption{Keys: newer}).Load("joe")
			if err != nil || g.RefreshToken != tt.grant.RefreshToken {
				t.Errorf("with the new key alone: %+v, %v", g, err)
			}
		})
	}
}
