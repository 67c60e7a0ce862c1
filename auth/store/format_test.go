package store

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// openWith opens the store in dir. The test closes it if it opens another there.
func openWith(t *testing.T, dir string, e Encryption) *Store {
	t.Helper()
	s, err := Open(dir, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// change replaces fields of a file of JSON.
func change(t *testing.T, path string, fields map[string]any) {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal([]byte(readFile(t, path)), &f); err != nil {
		t.Fatal(err)
	}
	for k, v := range fields {
		f[k] = v
	}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(data), 0o600)
}

// sealedOf returns the nonce and ciphertext of a file.
func sealedOf(t *testing.T, path string) []byte {
	t.Helper()
	var f grantFile
	if err := json.Unmarshal([]byte(readFile(t, path)), &f); err != nil {
		t.Fatal(err)
	}
	return f.Sealed
}

func TestNothingOfAGrantIsInItsFile(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	g := granted(0)
	g.Withdrawn = "no more"
	if err := s.Save("joe", g); err != nil {
		t.Fatal(err)
	}
	first := readFile(t, filepath.Join(dir, "joe.json"))
	for _, secret := range []string{"token0", "refresh0", "no more", "expiry"} {
		if strings.Contains(first, secret) {
			t.Errorf("%q is in %s", secret, first)
		}
	}
	if err := s.Save("joe", g); err != nil || readFile(t, filepath.Join(dir, "joe.json")) == first {
		t.Errorf("saved again, the file is the same: is the nonce? %v", err)
	}
}

// What was not written so, byte for byte, is refused, and left as it is.
func TestAlteredFiles(t *testing.T) {
	keys := someKeys(t, 'a', 'b')
	dir := stateDir(t)
	s := openWith(t, dir, Encryption{Keys: keys})
	joe, ann := filepath.Join(dir, "joe.json"), filepath.Join(dir, "ann.json")
	for _, account := range []string{"joe", "ann"} {
		if err := s.Save(account, granted(0)); err != nil {
			t.Fatal(err)
		}
	}
	good, other, sealed := readFile(t, joe), readFile(t, ann), sealedOf(t, joe)
	const damaged = "the file is damaged"
	flipped := func(i int) []byte {
		b := append([]byte(nil), sealed...)
		b[i] ^= 1
		return b
	}
	for _, row := range []struct {
		name   string
		whole  string         // another file in its place
		fields map[string]any // or changes to it
		want   string
	}{
		{"that of another account", other, nil, `the file is that of account "ann"`},
		{"that of another account, renamed", other, map[string]any{"account": "joe"}, damaged},
		{"another format", good, map[string]any{"version": 1}, "the grant is not encrypted"},
		{"no format", good, map[string]any{"version": 0}, "no grant in it"},
		{"a newer format", good, map[string]any{"version": 3}, "written by a newer xoauthd (format 3)"},
		{"another key", good, map[string]any{"key": keys[1].ID()}, damaged},
		{"an unknown key", good, map[string]any{"key": "01234567"}, "encrypted with key 01234567, and xoauthd has only " + keys[0].ID() + ", " + keys[1].ID()},
		{"a bit of the nonce", good, map[string]any{"sealed": flipped(0)}, damaged},
		{"a bit of the ciphertext", good, map[string]any{"sealed": flipped(30)}, damaged},
		{"a bit of the tag", good, map[string]any{"sealed": flipped(len(sealed) - 1)}, damaged},
		{"cut short", good, map[string]any{"sealed": sealed[:len(sealed)-1]}, damaged},
		{"cut within the nonce", good, map[string]any{"sealed": sealed[:10]}, damaged},
		{"nothing sealed", good, map[string]any{"sealed": nil}, damaged},
		{"not base64", good, map[string]any{"sealed": "!"}, damaged},
		{"sealed, but no grant", string(s.forged(t, `{}`)), nil, "no grant in it"},
		{"sealed, but no JSON", string(s.forged(t, `{`)), nil, "no grant in it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			writeFile(t, joe, row.whole, 0o600)
			if row.fields != nil {
				change(t, joe, row.fields)
			}
			before := readFile(t, joe)
			g, err := s.Load("joe")
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), joe) {
				t.Errorf("loaded %+v, err = %v, want: %s", g, err, row.want)
			}
			if _, err := s.Load("ann"); err != nil {
				t.Errorf("the other account: %v", err)
			}
			if readFile(t, joe) != before {
				t.Error("Load has changed the file")
			}
		})
	}
	writeFile(t, joe, good, 0o600)
	change(t, joe, map[string]any{"access_token": "evil", "refresh_token": "evil"})
	if g, err := s.Load("joe"); err != nil || g.AccessToken != "token0" || g.RefreshToken != "refresh0" {
		t.Errorf("with a grant beside what is sealed: %+v, %v", g, err)
	}
}

// forged is a file that is sealed well, around something else than a grant.
func (s *Store) forged(t *testing.T, data string) []byte {
	t.Helper()
	f := grantFile{header: s.header("joe")}
	f.Sealed = s.keys[0].seal([]byte(data), f.context())
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
