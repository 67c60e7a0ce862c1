package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/storekey"
)

// TestKeysOfTheConfiguration checks that a grant survives changes of the keys, and that no key
// is logged.
func TestKeysOfTheConfiguration(t *testing.T) {
	one, two := storekey.New(), storekey.New()
	c := load(t, "[store]\nencrypt = false\n"+listeners)
	path := filepath.Join(c.StateDirectory, "alice@example.com.json")
	plain, err := store.Open(c.StateDirectory, store.Encryption{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	grant := oauth.Grant{AccessToken: "access", RefreshToken: "refresh", Obtained: time.Now()}
	if err := plain.Save("alice@example.com", grant); err != nil {
		t.Fatal(err)
	}
	plain.Close()
	for _, step := range []struct {
		name, table string
		keys        string
		in          string // the file, in the end
		says        string // the log
	}{
		{"plain", "encrypt = false", "", `"refresh"`, ""},
		{"encrypted", `encrypt = "migrate"`, one, `"key"`, "grants re-encrypted\" files=1 encrypted=true"},
		{"again", "", one, `"key"`, ""},
		{"with a new key", "", two + "\n" + one, `"key"`, "grants re-encrypted"},
		{"without the old one", "", two, `"key"`, ""},
		{"plain again", "encrypt = false", two, `"refresh"`, "grants re-encrypted\" files=1 encrypted=false"},
	} {
		t.Setenv("XOAUTHD_TEST_KEY", step.keys)
		table := "[store]\n" + step.table + "\n"
		if step.keys != "" {
			table += "key_env = \"XOAUTHD_TEST_KEY\"\n"
		}
		next := load(t, table+listeners)
		next.StateDirectory = c.StateDirectory
		var log strings.Builder
		d, err := New(next, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if s := d.accounts.byName["alice@example.com"].grants.Status(); !s.Obtained.Equal(grant.Obtained) {
			t.Errorf("%s: the grant is gone: %+v", step.name, s)
		}
		if err := d.Close(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), step.in) {
			t.Errorf("%s: the file holds %s, %v", step.name, b, err)
		}
		if said := log.String(); !strings.Contains(said, step.says) || (said == "") != (step.says == "") || strings.Contains(said, "xoauthd-key-") {
			t.Errorf("%s: the log says %s", step.name, said)
		}
	}
}

// TestGrantsWithoutAccount checks that the start logs the files of an account that was removed
// from the configuration, and does not change them.
func TestGrantsWithoutAccount(t *testing.T) {
	var log strings.Builder
	d, err := New(load(t, listeners), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, account := range []string{"alice@example.com", "gone@example.com"} {
		if err := d.store.Save(account, oauth.Grant{AccessToken: "token0", Obtained: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"alice@example.com.status", "left@example.com.status"} {
		if err := os.WriteFile(filepath.Join(d.config.StateDirectory, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.warnOfOthers()
	want := `msg="grants without an account" grants=2 files="` + filepath.Join(d.config.StateDirectory, "gone@example.com.json") + " " +
		filepath.Join(d.config.StateDirectory, "left@example.com.status") + `" hint="revoke them at the provider and remove the files"`
	if said := log.String(); !strings.Contains(said, want) {
		t.Errorf("the log says %s, want %s", said, want)
	}
	if _, err := d.store.Load("gone@example.com"); err != nil {
		t.Error(err)
	}
}

// TestRecordOfAppPassword checks that of an account with an app password, an old grant is
// reported and the record is not.
func TestRecordOfAppPassword(t *testing.T) {
	var log strings.Builder
	d, err := New(load(t, listeners), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const alice = "alice@example.com"
	d.accounts.byName[alice].provider.config.Flow = "app_password"
	if err := d.store.Save(alice, oauth.Grant{AccessToken: "token0", Obtained: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.config.StateDirectory, alice+".status"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.warnOfOthers()
	if said := log.String(); !strings.Contains(said, "grants=1") || !strings.Contains(said, alice+".json") || strings.Contains(said, ".status") {
		t.Errorf("the log says %s", said)
	}
}

// TestRekeyFails checks that the log says which key the administrator must keep.
func TestRekeyFails(t *testing.T) {
	var log strings.Builder
	d, err := New(load(t, listeners), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.rekey()
	if said := log.String(); !strings.Contains(said, `msg="grants not re-encrypted" error=`) || !strings.Contains(said, `hint="keep the old key"`) {
		t.Errorf("the log says %s", said)
	}
}
