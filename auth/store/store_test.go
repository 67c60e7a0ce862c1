package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
)

func TestStore(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	if _, err := s.Load("joe"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want fs.ErrNotExist", err)
	}
	want := granted(0)
	want.Refreshed = want.Obtained.Add(time.Second)
	want.Withdrawn = "no more"
	if err := s.Save("joe", want); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("joe", granted(time.Hour)); err == nil {
		t.Error("a store that is closed saves")
	}
	got, err := openStore(t, dir).Load("joe")
	if err != nil || !got.Expiry.Equal(want.Expiry) || !got.Refreshed.Equal(want.Refreshed) || got.Withdrawn != want.Withdrawn || got.RefreshToken != want.RefreshToken {
		t.Errorf("loaded %+v, %v, want %+v", got, err, want)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "joe.json"): 0o600, filepath.Join(dir, "lock"): 0o600, filepath.Join(dir, "key"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), mode)
		}
	}
}

// TestOpenStoreOnAVolume opens the store on a volume of Kubernetes, whose folders an
// fsGroup has opened to a group.
func TestOpenStoreOnAVolume(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	volume := t.TempDir()
	if err := os.Chmod(volume, 0o775|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	_, err := Open(volume, Encryption{})
	if err == nil || !strings.Contains(err.Error(), "fsGroupChangePolicy is OnRootMismatch") {
		t.Errorf("err = %v", err)
	}
	s, err := Open(filepath.Join(volume, "state"), Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOpenStoreRefuses(t *testing.T) {
	base := t.TempDir()
	mkdir := func(name string, mode os.FileMode) string {
		path := filepath.Join(base, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	readable, writable := mkdir("readable", 0o750), mkdir("writable", 0o702)
	file := filepath.Join(base, "file")
	writeFile(t, file, "", 0o600)
	taken := filepath.Join(base, "taken")
	openStore(t, taken)
	tests := map[string]string{
		readable:                      "chmod go= " + readable,
		writable:                      "chmod go= " + writable,
		file:                          "not a directory",
		filepath.Join(base, "a", "b"): "no such file or directory: make " + filepath.Join(base, "a") + " for the user",
		taken:                         fmt.Sprintf("in use by another xoauthd (process %d)", os.Getpid()),
	}
	if os.Geteuid() == 0 {
		foreign := mkdir("foreign", 0o700)
		if err := os.Chown(foreign, 12345, -1); err != nil {
			t.Fatal(err)
		}
		tests[foreign] = fmt.Sprintf("belongs to another user: chown 0 %s, or set state_directory = %q", foreign, filepath.Join(foreign, "state"))
	}
	for dir, want := range tests {
		s, err := Open(dir, Encryption{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: err = %v, want it to say: %s", dir, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestOpenStoreCleans(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	if err := s.Save("odd.tmp", granted(0)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	writeFile(t, filepath.Join(dir, "joe.json.tmp"), `{"version": 2, "acc`, 0o600)
	s = openStore(t, dir)
	if _, err := os.Lstat(filepath.Join(dir, "joe.json.tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
	if _, err := s.Load("odd.tmp"); err != nil {
		t.Errorf("an account with an odd name: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	if err := s.Save("joe", granted(0)); err != nil {
		t.Fatal(err)
	}
	good := readFile(t, filepath.Join(dir, "joe.json"))
	tests := []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"empty", "", 0o600, "the file is empty"},
		{"truncated", good[:len(good)/2], 0o600, "the file is damaged"},
		{"followed by something", good + "x", 0o600, "the file is damaged"},
		{"foreign", strings.Replace(good, `"joe"`, `"ann"`, 1), 0o600, `the file is that of account "ann"`},
		{"newer", `{"version":3,"account":"joe","grants":[]}`, 0o600, "written by a newer xoauthd (format 3): upgrade"},
		{"newer, and of other types", `{"version":3,"account":["joe"]}`, 0o600, "written by a newer xoauthd (format 3): upgrade"},
		{"of something else", `{"hello":"world"}`, 0o600, "no grant in it"},
		{"in the clear", `{"version":1,"account":"joe"}`, 0o600, "the grant is not encrypted"},
		{"readable by the group", good, 0o640, "chmod go= " + filepath.Join(dir, "joe.json")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, "joe.json")
			writeFile(t, path, tt.content, tt.mode)
			_, err := s.Load("joe")
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("err = %v, want: %s", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "token0") || strings.Contains(err.Error(), "refresh0")) {
				t.Errorf("a secret is in %v", err)
			}
			if readFile(t, path) != tt.content {
				t.Error("Load has changed the file")
			}
		})
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	outside := filepath.Join(t.TempDir(), "outside")
	writeFile(t, outside, "precious", 0o600)
	for _, name := range []string{"joe.json", "joe.json.tmp"} {
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Load("joe"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("err = %v", err)
	}
	if err := s.Save("joe", granted(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load("joe"); err != nil || readFile(t, outside) != "precious" {
		t.Errorf("err = %v; the file outside holds %q", err, readFile(t, outside))
	}
}

func TestFileName(t *testing.T) {
	for account, want := range map[string]string{
		"alice@example.com":  "alice@example.com.json",
		"Alice+x_y-z@a.b":    "Alice+x_y-z@a.b.json",
		"../../etc/passwd":   "..%2F..%2Fetc%2Fpasswd.json",
		"a%2Fb":              "a%252Fb.json",
		"a b\x00~":           "a%20b%00%7E.json",
		"":                   ".json",
		"lock":               "lock.json",
		"jürgen@example.com": "j%C3%BCrgen@example.com.json",
	} {
		if got := fileName(account); got != want {
			t.Errorf("%q is kept in %s, want %s", account, got, want)
		}
	}
	long := strings.Repeat("ü", 1000)
	name := fileName(long)
	if length := len(name) + len(".damaged-20060102T150405Z"); length > 255 || !strings.Contains(name, "~") {
		t.Errorf("%d bytes: %s", length, name)
	}
	for _, other := range []string{long + "a", long[:len(long)-2] + "ä", strings.TrimSuffix(name, fileSuffix)} {
		if fileName(other) == name {
			t.Errorf("%q is kept in the same file as another account", other)
		}
	}
}

// A file that is damaged is replaced as carefully as a good one: until the new
// one is there it stays under its name, and afterwards under another.
func TestSaveOverDamageFails(t *testing.T) {
	for _, step := range []string{"create", "write", "fsync", "close", "link", "rename"} {
		s := openStore(t, stateDir(t))
		if err := s.Save("joe", granted(0)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.dir, "joe.json")
		writeFile(t, path, "{", 0o600)
		fault := faultfs.Failing(s.Files, step, syscall.EIO)
		s.Files = fault
		if err := s.Save("joe", granted(0)); !errors.Is(err, syscall.EIO) || readFile(t, path) != "{" {
			t.Errorf("%s fails: %v; under its name is %q", step, err, readFile(t, path))
		}
		fault.Step = ""
		if err := s.Save("joe", granted(0)); err != nil {
			t.Errorf("after a failing %s: %v", step, err)
		}
		aside, err := filepath.Glob(path + ".damaged-*")
		if err != nil || len(aside) == 0 || readFile(t, aside[0]) != "{" || stored(t, s).AccessToken != "token0" {
			t.Errorf("after a failing %s: put aside %q, %v", step, aside, err)
		}
	}
}

// Too many open files, or a bad sector, do not make a good file a damaged one.
func TestSaveOverWhatCannotBeRead(t *testing.T) {
	for _, cause := range []error{syscall.EMFILE, syscall.EIO} {
		s := openStore(t, stateDir(t))
		if err := s.Save("joe", granted(0)); err != nil {
			t.Fatal(err)
		}
		fault := faultfs.Failing(s.Files, "read", cause)
		s.Files = fault
		g := granted(0)
		g.AccessToken = "token1"
		if err := s.Save("joe", g); err != nil {
			t.Errorf("%v: %v", cause, err)
		}
		fault.Step = ""
		if names, err := s.Files.List(); err != nil || slices.ContainsFunc(names, isAside) || stored(t, s).AccessToken != "token1" {
			t.Errorf("%v: %v in the folder; %v", cause, names, err)
		}
	}
}

// stored returns joe's grant on disk.
func stored(t *testing.T, s *Store) oauth.Grant {
	t.Helper()
	g, err := s.Load("joe")
	if err != nil {
		t.Fatal(err)
	}
	return g
}
