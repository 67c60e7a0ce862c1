package auth

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/storekey"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// A wrong key costs nothing: the account says what is missing, the provider is
// not asked, the file is kept, even from a new authorization.
func TestWrongKey(t *testing.T) {
	dir := stateDir(t)
	keys, err := store.ParseKeys(storekey.New() + "\n" + storekey.New())
	if err != nil {
		t.Fatal(err)
	}
	right := openWith(t, dir, store.Encryption{Keys: keys[:1]})
	if err := right.Save("joe", granted(time.Hour)); err != nil {
		t.Fatal(err)
	}
	right.Close()
	path := filepath.Join(dir, "joe.json")
	before := readFile(t, path)

	wrong := openWith(t, dir, store.Encryption{Keys: keys[1:]})
	if n, err := wrong.Rekey(); n != 0 || err != nil {
		t.Errorf("written anew: %d, %v", n, err)
	}
	s := &tokenserver.Server{Answer: tokenserver.Numbered}
	a := NewAccount("joe", newProvider(s), oauth.Consent{}, wrong, nil)
	want := path + ": encrypted with key " + keys[0].ID() + ", and xoauthd has only " + keys[1].ID() +
		": add that key and restart xoauthd, or authorize the account again"
	if st := a.Status(); st.State != NeedsAuthorization || st.Why != oauth.OneLine(want) {
		t.Errorf("status = %+v, want %s", st, want)
	}
	if _, err := a.Token(t.Context(), ""); err == nil || !errors.Is(err, oauth.ErrNeedsAuthorization) {
		t.Errorf("err = %v", err)
	}
	if err := a.Wait(t.Context()); err != nil || readFile(t, path) != before || s.Count() != 0 {
		t.Errorf("the file or the provider has been touched; %v", err)
	}
	if err := a.Keep(granted(0)); err != nil {
		t.Fatal(err)
	}
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 || readFile(t, aside[0]) != before {
		t.Fatalf("put aside: %q, %v", aside, err)
	}
	wrong.Close()

	if err := os.Rename(aside[0], path); err != nil {
		t.Fatal(err)
	}
	if _, err := openWith(t, dir, store.Encryption{Keys: keys[:1]}).Load("joe"); err != nil {
		t.Errorf("with the right key again: %v", err)
	}
}
