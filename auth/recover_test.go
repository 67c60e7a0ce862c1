package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRecover: a temporary file that a killed daemon left is adopted if it has a
// later grant of the account, and otherwise removed.
func TestRecover(t *testing.T) {
	later := func(g Grant) Grant {
		g.AccessToken, g.RefreshToken, g.Refreshed = "token1", "refresh1", g.Obtained.Add(time.Minute)
		return g
	}
	ahead := granted(-400 * 24 * time.Hour)
	rotated := granted(0)
	rotated.Obtained = ahead.Obtained
	for _, tt := range []struct {
		name    string
		saved   Grant // empty: none
		left    func(t *testing.T, s *Store) string
		adopted bool
		stays   bool // where it is
	}{
		{"a later grant", granted(0), temporary(later(granted(0))), true, false},
		{"the first grant", Grant{}, temporary(granted(0)), true, false},
		{"a rotated token without a use", granted(0), temporary(func() Grant { g := granted(0); g.RefreshToken = "refresh1"; return g }()), true, false},
		{"after a clock that was ahead", ahead, temporary(later(granted(0))), true, false},
		{"an earlier grant", later(granted(0)), temporary(granted(time.Hour)), false, false},
		{"half of it", granted(0), func(t *testing.T, s *Store) string {
			whole := temporary(later(granted(0)))(t, s)
			return whole[:len(whole)/2]
		}, false, false},
		{"nothing", granted(0), func(*testing.T, *Store) string { return "" }, false, false},
		{"another account's", granted(0), func(t *testing.T, s *Store) string {
			data, err := s.encode("ann", later(granted(0)))
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}, false, false},
		{"another account's, renamed", granted(0), func(t *testing.T, s *Store) string {
			data, err := s.encode("ann", later(granted(0)))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Replace(string(data), `"ann"`, `"joe"`, 1)
		}, false, false},
		{"with a key that is not there", granted(0), func(t *testing.T, s *Store) string {
			keys, err := ParseKeys(NewKey())
			if err != nil {
				t.Fatal(err)
			}
			return temporary(later(granted(0)))(t, &Store{keys: keys})
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			s := openStore(t, dir)
			if !tt.saved.empty() {
				if err := s.Save("joe", tt.saved); err != nil {
					t.Fatal(err)
				}
			}
			temp := filepath.Join(dir, "joe.json"+tempSuffix)
			writeFile(t, temp, tt.left(t, s), 0o600)
			writeFile(t, filepath.Join(dir, "key"+tempSuffix), NewKey(), 0o600)
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
			names, err := s.files.list()
			if err != nil {
				t.Fatal(err)
			}
			left := slices.DeleteFunc(names, func(name string) bool { return !isTemporary(name) })
			if want := tt.stays; (len(left) > 0) != want {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// temporary is the file of a grant of joe's.
func temporary(g Grant) func(t *testing.T, s *Store) string {
	return func(t *testing.T, s *Store) string {
		t.Helper()
		data, err := s.encode("joe", g)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

// TestRecoverOtherSource: a grant from before a change of the configuration is put
// aside, as it is when another one is saved.
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
	if names, err := s.files.list(); err != nil || !slices.ContainsFunc(names, isAside) {
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
		_, err := OpenStore(dir, Encryption{})
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
	if _, err := OpenStore(dir, Encryption{}); err == nil || !strings.Contains(err.Error(), "remove the file, and xoauthd makes another") {
		t.Errorf("%v", err)
	}
}

// TestLostAnswer: a provider that has rotated the refresh token, and whose answer
// did not arrive, refuses the earlier one. The account says why.
func TestLostAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		hint   string
	}{
		{"the connection breaks", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "was lost: xoauthd was killed, or the connection broke"},
		{"half of the answer", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"access_token":"token1","refr`))
		}, "was lost"},
		{"the provider is out of order", func(w http.ResponseWriter) { w.WriteHeader(503) }, hintEnded},
		{"the answer is of no use", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"access_token":"token1","token_type":"mac"}`))
		}, hintEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					tt.answer(w)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(400)
				w.Write([]byte(`{"error":"invalid_grant"}`))
			}))
			defer provider.Close()
			a := newAccount(t, nil, granted(time.Hour))
			a.provider = remote(provider.URL)
			if _, err := a.Token(t.Context(), ""); err == nil || errors.Is(err, ErrNeedsAuthorization) {
				t.Fatalf("first: %v", err)
			}
			a.retry = time.Time{}
			if _, err := a.Token(t.Context(), ""); !errors.Is(err, ErrNeedsAuthorization) {
				t.Fatalf("second: %v", err)
			}
			if s := a.Status(); !strings.Contains(s.Hint, tt.hint) {
				t.Errorf("the hint is %q, want %q", s.Hint, tt.hint)
			}
		})
	}
	t.Run("nothing was sent", func(t *testing.T) {
		a := newAccount(t, &server{answer: in(2, always(0, ""), always(400, `{"error":"invalid_grant"}`))}, granted(time.Hour))
		a.Token(t.Context(), "")
		a.retry = time.Time{}
		a.Token(t.Context(), "")
		if s := a.Status(); s.Hint != hintEnded {
			t.Errorf("the hint is %q", s.Hint)
		}
	})
}
