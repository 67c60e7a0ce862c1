package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/storekey"
)

func TestState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open := func(e Encryption) *Store {
		t.Helper()
		s, err := Open(dir, e)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	keys := func(text string) Encryption {
		keys, err := ParseKeys(text)
		if err != nil {
			t.Fatal(err)
		}
		return Encryption{Keys: keys}
	}
	const data = `{"secret":"words"}`
	path := filepath.Join(dir, "logins")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loads := func(s *Store, name, want string) {
		t.Helper()
		got, err := s.LoadState(name)
		if want == "" && (err != nil || string(got) != data) {
			t.Errorf("loaded %q, %v", got, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir)) {
			t.Errorf("loaded %q, %v, want %s", got, err, want)
		}
	}
	first, second := storekey.New(), storekey.New()
	s := open(keys(first))
	if _, err := s.LoadState("logins"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
	for range 2 {
		if err := s.SaveState("logins", []byte(data)); err != nil {
			t.Fatal(err)
		}
		loads(s, "logins", "")
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, []byte("secret")) {
		t.Errorf("the file is %s, %v", text, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// What is not the file that was written is refused.
	if err := os.Rename(path, filepath.Join(dir, "others")); err != nil {
		t.Fatal(err)
	}
	loads(s, "others", "did not write it")
	for _, tt := range []struct{ name, text, want string }{
		{"cut short", string(text[:len(text)/2]), "damaged"},
		{"empty", "", "damaged"},
		{"changed", strings.Replace(string(text), `"sealed":"`, `"sealed":"AAAA`, 1), "did not write it"},
		{"not encrypted", `{"version":1,"plain":"e30="}`, "not encrypted"},
		{"of no format", `{}`, "not encrypted"},
		{"of a newer format", `{"version":3}`, "newer xoauthd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write([]byte(tt.text))
			loads(s, "logins", tt.want)
		})
	}
	write(text)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	loads(s, "logins", "open to other users")
	write(text)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}

	// Keys are changed as those of grants are.
	s.Close()
	s = open(keys(second + "\n" + first))
	loads(s, "logins", "")
	if err := s.SaveState("logins", []byte(data)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(keys(first))
	loads(s, "logins", "encrypted with key")
	s.Close()

	s = open(Encryption{Plain: true})
	if err := s.SaveState("logins", []byte(data)); err != nil {
		t.Fatal(err)
	}
	loads(s, "logins", "")
	if others, err := s.Others(nil, nil); err != nil || len(others) != 0 {
		t.Errorf("they are taken for grants: %v, %v", others, err)
	}
}
