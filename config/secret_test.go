package config

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSecretFromTheUnit(t *testing.T) {
	name, dir := minimal(t, `client_secret_env = "XOAUTHD_TEST_SECRET"`, 0o600)
	for _, row := range []struct{ env, secret, fault string }{
		{"secret", "secret", ""},
		{"secret\n", "secret", ""},
		{"", "", "client_secret_env: the secret must not be empty"},
	} {
		t.Setenv("XOAUTHD_TEST_SECRET", row.env)
		checkSecretOf(t, name, row.secret, row.fault)
	}

	if err := os.Unsetenv("XOAUTHD_TEST_SECRET"); err != nil { // until Setenv is undone
		t.Fatal(err)
	}
	checkWithheld(t, name, "client_secret_env: the environment variable XOAUTHD_TEST_SECRET is not set")
	name, _ = minimal(t, `client_secret_env = "hunter-2"`, 0o600)
	checkSecretOf(t, name, "", "client_secret_env: must be the name of an environment variable, such as GOOGLE_SECRET")

	name, _ = minimal(t, `client_secret_credential = "google"`, 0o600)
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	checkWithheld(t, name, "client_secret_credential: systemd has given no credentials; the unit needs LoadCredential=google:/path/of/the/secret")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	const missing = "client_secret_credential: systemd has given no such credential; the unit needs LoadCredential=google:/path/of/the/secret"
	checkSecretOf(t, name, "", missing)
	if err := os.WriteFile(filepath.Join(dir, "google"), []byte("secret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkSecretOf(t, name, "secret", "")
}

func checkWithheld(t *testing.T, name, want string) {
	t.Helper()
	if got := load(t, name).Withheld.Error(); got != name+":4: "+want {
		t.Errorf("got %s, want %s:4: %s", got, name, want)
	}
}

func checkSecretOf(t *testing.T, name, secret, fault string) {
	t.Helper()
	c, err := Load(name)
	if fault != "" {
		if want := name + ":4: " + fault; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Providers["google"].ClientSecret.Reveal(); got != secret {
		t.Errorf("secret %q, want %q", got, secret)
	}
}

func TestInlineSecretThatEverybodyCanRead(t *testing.T) {
	for _, mode := range []fs.FileMode{0o640, 0o644} {
		name, _ := minimal(t, `client_secret = "hunter"`, mode)
		want := name + ":4: client_secret: every user of this machine can read it here: chmod o= " + name
		got := Faults(load(t, name).Warnings).Error()
		if warned := strings.Contains(got, want); warned != (mode == 0o644) {
			t.Errorf("%v: %s", mode, got)
		}
	}
}

func TestSecretFileThatOthersCanReadOrChange(t *testing.T) {
	name, dir := minimal(t, `client_secret_file = "secret"`, 0o600)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		mode fs.FileMode
		who  string
	}{
		{0o400, ""},
		{0o640, ""},
		{0o644, "every user of this machine can read it"},
		{0o664, "every user of this machine can read it"},
		{0o660, "the group root can change it"},
		{0o620, "the group root can change it"},
		{0o602, "every user of this machine can change it"},
		{0o666, "every user of this machine can change it"},
	} {
		if err := os.Chmod(secret, row.mode); err != nil {
			t.Fatal(err)
		}
		fault := "client_secret_file: " + secret + ": " + row.who + ": chmod g-w,o= " + secret
		if row.who == "" {
			fault = ""
		}
		checkSecretOf(t, name, "hunter", fault)
	}
}

// TestPipeIsNotWaitedFor would end only with its time.
func TestPipeIsNotWaitedFor(t *testing.T) {
	name, dir := minimal(t, `client_secret_file = "pipe"`, 0o600)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	checkSecretOf(t, name, "", "client_secret_file: "+pipe+" is not a file")
}

func TestSecretIsNeverPrinted(t *testing.T) {
	const value = "hunter"
	p := struct{ S Secret }{value}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "s", p.S, "p", p)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "s", p.S, "p", p)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		fmt.Fprintf(&b, verb+verb, p.S, p)
	}
	j, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(j)
	b.WriteString(p.S.String() + p.S.GoString())
	for _, shown := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value)} {
		if strings.Contains(b.String(), shown) {
			t.Errorf("shown as %s: %s", shown, b.String())
		}
	}
}
