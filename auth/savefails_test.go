package auth

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// Whatever step fails, the file is the old or the new one, the new token is
// used, the fault is reported, and the grant is saved once there is room again.
func TestSaveFails(t *testing.T) {
	for _, tt := range faultfs.Faults {
		t.Run(tt.Step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := expired(t, &tokenserver.Server{Answer: tokenserver.Always(200, `{"access_token":"token1","refresh_token":"refresh1"}`)})
				fault := faultfs.Failing(a.store.Files, tt.Step, tt.Err)
				a.store.Files = fault

				if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil {
					t.Errorf("token = %q, %v", token, err)
				}
				if r := onDisk(t, a).RefreshToken; (r == "refresh1") != (tt.Step == "fsync of the folder") {
					t.Errorf("on disk: %s", r)
				}
				if s := a.Status(); s.State != Authorized || !strings.HasPrefix(s.Why, ErrNotSaved.Error()) {
					t.Errorf("status = %+v", s)
				}
				names, _ := a.store.Files.List()
				if slices.ContainsFunc(names, isTemporary) {
					t.Errorf("left in the folder: %v", names)
				}
				if err := a.Wait(t.Context()); err == nil || tt.Err != nil && !errors.Is(err, tt.Err) {
					t.Errorf("Wait: %v", err)
				}

				fault.Step = ""
				time.Sleep(resaveAfter)
				a.Token(t.Context(), "")
				synctest.Wait()
				if r := onDisk(t, a).RefreshToken; r != "refresh1" || a.Status().Why != "" {
					t.Errorf("later on disk: %s; status = %+v", r, a.Status())
				}
			})
		})
	}
}

func TestKeepCannotSave(t *testing.T) {
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, oauth.Grant{})
	fault := faultfs.Failing(a.store.Files, "write", syscall.ENOSPC)
	a.store.Files = fault
	if err := a.Keep(granted(0)); !errors.Is(err, ErrNotSaved) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("err = %v", err)
	}
	if token, err := a.Token(t.Context(), ""); token != "token0" || err != nil {
		t.Errorf("token = %q, %v", token, err)
	}
	a.recording.Lock() // the record may be on its way
	fault.Step = ""
	a.recording.Unlock()
	if err := a.Wait(t.Context()); err != nil || onDisk(t, a).AccessToken != "token0" {
		t.Errorf("at the end of the daemon: %v", err)
	}
}
