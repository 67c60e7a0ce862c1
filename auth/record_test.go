package auth

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/storekey"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// restarted is the account as the next daemon has it.
func restarted(t *testing.T, a *Account) *Account {
	t.Helper()
	if err := a.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return NewAccount(a.name, a.provider, a.flow, a.store, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// TestRecord: what was wrong is known after a restart, and ends as it does without
// one.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tokenserver.Server{Answer: tokenserver.In(3, tokenserver.Always(401, tokenserver.BadClient), tokenserver.Numbered)}
		a := expired(t, s)
		a.Token(t.Context(), "")
		a.LoggedIn("imap")
		a.LoginFailed("smtp", ProblemRefused, "535 5.7.139 no", "Have it enabled.")
		time.Sleep(time.Hour)
		a.LoginFailed("smtp", ProblemRefused, "535 5.7.139 no", "Have it enabled.")
		want := a.Status()

		a = restarted(t, a)
		got := a.Status()
		if got.State != Failing || len(got.Problems) != 2 || got.Why != "token endpoint: invalid_client" || got.Hint == "" {
			t.Fatalf("after a restart: %+v", got)
		}
		for i, p := range got.Problems {
			if w := want.Problems[i]; p.Text != w.Text || p.Hint != w.Hint || p.Kind != w.Kind || p.Count != w.Count || !p.Since.Equal(w.Since) || !p.Last.Equal(w.Last) {
				t.Errorf("%+v, want %+v", p, w)
			}
		}
		if !got.Logins["imap"].Equal(want.Logins["imap"]) || got.Logins["imap"].IsZero() {
			t.Errorf("logins: %v, want %v", got.Logins, want.Logins)
		}

		// The provider is asked at once whether its problem is over.
		if d, ok := a.dueIn(time.Now(), oauth.Mail); !ok || d > 0 {
			t.Errorf("due in %v, %v", d, ok)
		}
		a.Token(t.Context(), "")
		if p := a.Status().Problems[0]; p.Text != "token endpoint: invalid_client" || p.Count != 2 {
			t.Errorf("still refused: %+v", p)
		}
		time.Sleep(misconfiguredDelay)
		a.Token(t.Context(), "")
		a.LoggedIn("smtp")
		if got := restarted(t, a).Status(); got.State != Authorized || len(got.Problems) > 0 {
			t.Errorf("when all is well again: %+v", got)
		}
	})
}

// A writes is a folder that counts records that are written.
type writes struct {
	store.Files
	n int
}

func (w *writes) Rename(from, to string) error {
	if strings.HasSuffix(to, ".status") {
		w.n++
	}
	return w.Files.Rename(from, to)
}

// TestRecordRate: a login a second does not write a record a second. What began or
// ended is on disk soon, whether the daemon ends in order or not.
func TestRecordRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
		w := &writes{Files: a.store.Files}
		a.store.Files = w
		onDisk := func() string {
			synctest.Wait()
			r, err := storedRecord(a)
			if err != nil {
				t.Fatal(err)
			}
			return r.Refusals["smtp"].Text
		}
		a.LoginFailed("smtp", ProblemRefused, "535 no", "")
		if got := onDisk(); got != "upstream refused (SMTP): 535 no" {
			t.Errorf("on disk: %q", got)
		}
		a.LoggedIn("smtp") // within recordPause
		time.Sleep(recordPause)
		mostUrgent([]*Account{a}, time.Now())
		if got := onDisk(); got != "" {
			t.Errorf("on disk after a login: %q", got)
		}
		before := w.n
		for range 2 * 3600 {
			a.LoggedIn("smtp")
			a.LoginFailed("imap", ProblemUnavailable, "no route", "")
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := w.n - before; n < 2 || n > 4 {
			t.Errorf("%d records written in two hours", n)
		}
		before = w.n
		for range 3600 { // comes and goes
			a.LoginFailed("imap", ProblemUnavailable, "no route", "")
			a.LoggedIn("imap")
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := w.n - before; n > 3600/int(recordPause/time.Second)+1 {
			t.Errorf("%d records written in an hour", n)
		}
	})
}

// TestRecordAfterRefresh: after a refresh succeeds, the record on disk does not say for
// long that one is under way: the next start would report an interrupted refresh.
func TestRecordAfterRefresh(t *testing.T) {
	for _, inOrder := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			a := expired(t, &tokenserver.Server{Answer: tokenserver.Numbered})
			if _, err := a.Token(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if inOrder {
				if err := a.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				time.Sleep(recordAge)
				mostUrgent([]*Account{a}, time.Now())
				synctest.Wait()
			}
			if r, err := storedRecord(a); err != nil || !r.Begun.IsZero() {
				t.Errorf("ended in order: %v: %+v, %v", inOrder, r, err)
			}
		})
	}
}

// TestRecordFaults: a record that cannot be read is ignored, with a warning, and
// one that cannot be written is no reason to lose a grant or to wait for one.
func TestRecordFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, a *Account, path string)
		says  string
	}{
		{"damaged", func(t *testing.T, _ *Account, path string) { writeFile(t, path, "{", 0o600) }, "the file is damaged"},
		{"empty", func(t *testing.T, _ *Account, path string) { writeFile(t, path, "", 0o600) }, "the file is damaged"},
		{"in the clear", func(t *testing.T, _ *Account, path string) {
			writeFile(t, path, `{"version":1,"plain":"eyJyZXZva2VkIjp7ImJ5IjoiZXZlIn19"}`, 0o600)
		}, "not encrypted"},
		{"open to others", func(t *testing.T, _ *Account, path string) {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chmod"},
		{"of another account", func(t *testing.T, a *Account, path string) {
			if err := a.store.SaveRecord("ann", record{}); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, readFile(t, filepath.Join(a.store.Dir(), "ann.status")), 0o600)
		}, "damaged"},
		{"with another key", func(t *testing.T, a *Account, path string) {
			keys, err := store.ParseKeys(storekey.New())
			if err != nil {
				t.Fatal(err)
			}
			other, err := store.Open(stateDir(t), store.Encryption{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := other.SaveRecord("joe", record{}); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, readFile(t, filepath.Join(other.Dir(), "joe.status")), 0o600)
		}, "encrypted with key"},
		{"that is none", func(t *testing.T, a *Account, _ string) {
			if err := a.store.SaveState("joe.status", []byte("[]")); err != nil {
				t.Fatal(err)
			}
		}, "not a record of an account"},
		{"a folder in its place", func(t *testing.T, _ *Account, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(time.Hour))
			a.LoginFailed("smtp", ProblemRefused, "535 no", "")
			if err := a.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, a, filepath.Join(a.store.Dir(), "joe.status"))
			var log bytes.Buffer
			a = NewAccount("joe", a.provider, oauth.Consent{}, a.store, slog.New(slog.NewTextHandler(&log, nil)))
			t.Cleanup(func() { a.Wait(t.Context()) })
			if !strings.Contains(log.String(), `level=WARN msg="account record ignored"`) || !strings.Contains(log.String(), tt.says) {
				t.Errorf("the log does not say %q:\n%s", tt.says, &log)
			}
			if s := a.Status(); s.State != Authorized || len(s.Problems) > 0 {
				t.Errorf("status = %+v", s)
			}
			if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil || onDisk(t, a).AccessToken != "token1" {
				t.Errorf("token = %q, %v", token, err)
			}
		})
	}
	t.Run("cannot be written", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := expired(t, &tokenserver.Server{Answer: tokenserver.Numbered})
			var log bytes.Buffer
			a.log = slog.New(slog.NewTextHandler(&log, nil))
			fault := faultfs.Failing(a.store.Files, "create", syscall.EROFS)
			a.store.Files = fault
			for range 100 {
				a.LoginFailed("smtp", ProblemRefused, "535 no", "")
				a.LoggedIn("smtp")
				time.Sleep(recordPause)
			}
			synctest.Wait()
			fault.Step = ""
			if token, err := a.Token(t.Context(), ""); token != "token1" || err != nil || onDisk(t, a).AccessToken != "token1" {
				t.Errorf("token = %q, %v", token, err)
			}
			synctest.Wait()
			if n := strings.Count(log.String(), "account record not saved"); n != 1 {
				t.Errorf("the log says so %d times:\n%s", n, &log)
			}
		})
	})
}

// TestRecordKey: after a change of the key the record can be read without the
// first one, once the daemon has run.
func TestRecordKey(t *testing.T) {
	keys, err := store.ParseKeys(storekey.New() + "\n" + storekey.New())
	if err != nil {
		t.Fatal(err)
	}
	dir := stateDir(t)
	// run lets a daemon with these keys run and end.
	run := func(keys []store.Key, do func(a *Account)) {
		s, err := store.Open(dir, store.Encryption{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		a := NewAccount("joe", newProvider(&tokenserver.Server{Answer: tokenserver.Numbered}), oauth.Consent{}, s, nil)
		do(a)
		if err := a.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	run(keys[1:], func(a *Account) {
		if err := a.Keep(granted(0)); err != nil {
			t.Fatal(err)
		}
		a.LoginFailed("smtp", ProblemRefused, "535 no", "")
	})
	run(keys, func(*Account) {})
	run(keys[:1], func(a *Account) {
		if r, err := storedRecord(a); err != nil || len(r.Refusals) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestRecordOfOtherSource: what was wrong at one provider says nothing of another.
func TestRecordOfOtherSource(t *testing.T) {
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
	a.LoginFailed("smtp", ProblemRefused, "535 no", "")
	if err := a.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := newProvider(&tokenserver.Server{Answer: tokenserver.Numbered})
	p.OAuth.ClientID = "another"
	other := NewAccount("joe", p, oauth.ClientCredentials{}, a.store, nil)
	t.Cleanup(func() { other.Wait(t.Context()) })
	if s := other.Status(); len(s.Problems) > 0 {
		t.Errorf("problems: %+v", s.Problems)
	}
}

// TestForgetLogins: a protocol that the configuration has no more has no problem.
func TestForgetLogins(t *testing.T) {
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
	for _, protocol := range []string{"imap", "smtp"} {
		a.LoginFailed(protocol, ProblemRefused, "no", "")
	}
	a.LoggedIn("pop3")
	a.ForgetLogins(func(protocol string) bool { return protocol == "imap" })
	if s := restarted(t, a).Status(); len(s.Problems) != 1 || s.Problems[0].Part != "imap" || len(s.Logins) > 0 {
		t.Errorf("status = %+v", s)
	}
}

// TestRevokedRecord: the status says by whom and when the grant was revoked, until the
// account is authorized again.
func TestRevokedRecord(t *testing.T) {
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
	if err := errors.Join(a.Forget("root (uid 0)"), a.Forget("eve")); err != nil {
		t.Fatal(err)
	}
	a = restarted(t, a)
	want := "the grant was revoked by root (uid 0) on " + dayAndTime(time.Now())
	_, err := a.Token(t.Context(), "")
	if s := a.Status(); s.State != NeedsAuthorization || s.Why[:40] != want[:40] || err == nil || err.Error() != s.Why || !errors.Is(err, oauth.ErrRevoked) {
		t.Errorf("status = %+v; %v", s, err)
	}
	if err := a.Keep(granted(0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(a.store.Dir(), "joe.json")); err != nil {
		t.Fatal(err)
	}
	if s := restarted(t, a).Status(); s.Why != "the account has never been authorized" {
		t.Errorf("after another authorization: %+v", s)
	}
}

// TestRevokedAndKept: a record that a daemon wrote just before it was killed does
// not end the grant that it had not yet removed.
func TestRevokedAndKept(t *testing.T) {
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
	a.store.Files = faultfs.Failing(a.store.Files, "remove", syscall.EROFS)
	if err := a.Forget("ann"); !errors.Is(err, ErrNotRemoved) {
		t.Fatal(err)
	}
	next := NewAccount("joe", a.provider, oauth.Consent{}, a.store, nil)
	if token, err := next.Token(t.Context(), ""); token != "token0" || err != nil {
		t.Errorf("token = %q, %v", token, err)
	}
}

// storedRecord returns the record on disk.
func storedRecord(a *Account) (r record, err error) {
	err = a.store.LoadRecord(a.name, &r)
	return r, err
}
