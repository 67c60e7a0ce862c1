package auth

import (
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestRefreshWithoutDescriptors checks that a rotated grant is on disk before its
// token is used, though the process has no file descriptor left, and that a damaged
// file is kept.
func TestRefreshWithoutDescriptors(t *testing.T) {
	provider := &rotator{}
	s := &tokenserver.Server{}
	a := expired(t, s)
	s.Answer = func(n int, form url.Values) (int, string) {
		if r, err := storedRecord(a); err != nil || r.Begun.IsZero() {
			t.Errorf("at the request, the record is %+v, %v", r, err)
		}
		return provider.answer(n, form)
	}
	restore := faultfs.UseUpDescriptors(t)
	for i := 1; i <= 10; i++ {
		token, err := a.Token(t.Context(), a.grant.AccessToken)
		if want := fmt.Sprintf("token%d", i); token != want || err != nil {
			t.Fatalf("token %q, %v; want %q", token, err, want)
		}
		if a.Unsaved() || onDisk(t, a).RefreshToken != fmt.Sprintf("refresh%d", i) {
			t.Fatalf("not saved: %v, on disk %+v", a.Status().Why, onDisk(t, a))
		}
		a.state(oauth.Mail).forced = time.Time{}
	}
	restore()
	path := filepath.Join(a.store.Dir(), "joe.json")
	writeFile(t, path, "{", 0o600)
	restore = faultfs.UseUpDescriptors(t)
	if err := a.store.Save("joe", granted(0)); err != nil {
		t.Error(err)
	}
	restore()
	if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 || readFile(t, aside[0]) != "{" {
		t.Errorf("put aside: %q, %v", aside, err)
	}
}
