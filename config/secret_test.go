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

func TestSecretFromUnit(t *testing.T) {
	name, dir := minimal(t, `client_secret_env = "XOAUTHD_TEST_SECRET"`, 0o600)
	for _, row := range []struct{ env, secret, fault string }{
		{"secret", "secret", ""},
		{"secret\n", "secret", ""},
		{"", "", "client_secret_env: the secret must not be empty"},
	} {
		t.Setenv("XOAUTHD_TEST_SECRET", row.env)
		checkClientSecret(t, name, row.secret, row.fault)
	}

	if err := os.Unsetenv("XOAUTHD_TEST_SECRET"); err != nil { // Setenv restores it
		t.Fatal(err)
	}
	checkUnavailable(t, name, "client_secret_env: the environment variable XOAUTHD_TEST_SECRET is not set")
	name, _ = minimal(t, `client_secret_env = "hunter-2"`, 0o600)
	checkClientSecret(t, name, "", "client_secret_env: must be the name of an environment variable, such as GOOGLE_SECRET")

	name, _ = minimal(t, `client_secret_credential = "google"`, 0o600)
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	checkUnavailable(t, name, "client_secret_credential: systemd passed no credentials; add LoadCredential=google:/path/of/the/secret to the unit")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	const missing = "client_secret_credential: systemd passed no such credential; add LoadCredential=google:/path/of/the/secret to the unit"
	checkClientSecret(t, name, "", missing)
	if err := os.WriteFile(filepath.Join(dir, "google"), []byte("secret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkClientSecret(t, name, "secret", "")
}

func checkUnavailable(t *testing.T, name, want string) {
	t.Helper()
	if got := load(t, name).Unavailable.Error(); got != name+":4: "+want {
		t.Errorf("got %s, want %s:4: %s", got, name, want)
	}
}

func checkClientSecret(t *testing.T, name, secret, fault string) {
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

func TestInlineSecretReadable(t *testing.T) {
	for _, mode := range []fs.FileMode{0o640, 0o644} {
		name, _ := minimal(t, `client_secret = "hunter"`, mode)
		want := name + ":4: client_secret: every local user can read it in this file: chmod o= " + name
		got := Faults(load(t, name).Warnings).Error()
		if warned := strings.Contains(got, want); warned != (mode == 0o644) {
			t.Errorf("%v: %s", mode, got)
		}
	}
}

func TestSecretFileExposed(t *testing.T) {
	name, dir := minimal(t, `client_secret_file = "secret"`, 0o600)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		mode    fs.FileMode
		problem string
	}{
		{0o400, ""},
		{0o640, ""},
		{0o644, "every local user can read it"},
		{0o664, "every local user can read it"},
		{0o660, "the group root can change it"},
		{0o620, "the group root can change it"},
		{0o602, "every local user can change it"},
		{0o666, "every local user can change it"},
	} {
		if err := os.Chmod(secret, row.mode); err != nil {
			t.Fatal(err)
		}
		fault := "client_secret_file: " + secret + ": " + row.problem + ": chmod g-w,o= " + secret
		if row.problem == "" {
			fault = ""
		}
		checkClientSecret(t, name, "hunter", fault)
	}
}

// TestSecretFromEditor reads secrets as editors and shells of several systems save them,
// from each source outside the configuration file.
func TestSecretFromEditor(t *testing.T) {
	for _, row := range []struct{ name, content, fault string }{
		{"plain", "app-secret-1\n", ""},
		{"CRLF", "app-secret-1\r\n", ""},
		{"BOM, CRLF", "\xef\xbb\xbfapp-secret-1\r\n", ""},
		{"UTF-16", "\xff\xfea\x00p\x00p\x00-\x00s\x00\r\x00\n\x00", "is UTF-16 text; convert it to UTF-8"},
		{"quoted", "\"app-secret-1\"\n", "the value is in quotes"},
		{"single quotes", "'app-secret-1'", "the value is in quotes"},
		{"typographic quotes", "“app-secret-1”\r\n", "the value is in quotes"},
		{"BOM, quoted", "\xef\xbb\xbf\"app-secret-1\"\r\n", "the value is in quotes"},
		{"trailing space", "app-secret-1 \n", "must not begin or end with a space"},
		{"an apostrophe", "'", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := "app-secret-1"
			if row.content == "'" {
				want = "'"
			}
			check := func(source, arg string) {
				t.Helper()
				name, dir := minimal(t, source+" = \""+arg+"\"", 0o600)
				noError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(row.content), 0o600))
				t.Setenv("CREDENTIALS_DIRECTORY", dir)
				c, err := Load(name)
				switch {
				case row.fault == "" && err != nil:
					t.Errorf("%s: %v", source, err)
				case row.fault == "" && c.Providers["google"].ClientSecret.Reveal() != want:
					t.Errorf("%s: %q", source, c.Providers["google"].ClientSecret.Reveal())
				case row.fault != "" && (err == nil || !strings.Contains(err.Error(), ":4: "+source+": ") || !strings.Contains(err.Error(), row.fault) || strings.Contains(err.Error(), "app-secret")):
					t.Errorf("%s: %v, want %s", source, err, row.fault)
				}
			}
			check("client_secret_file", "secret")
			check("client_secret_credential", "secret")
			if !strings.Contains(row.content, "\x00") { // a variable cannot hold a zero byte
				t.Setenv("XOAUTHD_TEST_SECRET", row.content)
				check("client_secret_env", "XOAUTHD_TEST_SECRET")
			}
		})
	}
	name, _ := minimal(t, `client_secret = '"quoted"'`, 0o600)
	checkClientSecret(t, name, `"quoted"`, "") // TOML has removed its own quotes
}

// TestFilesFromEditor loads the valid configurations with a byte order mark and CRLF line
// breaks in themselves and in each file that they name.
func TestFilesFromEditor(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := copyTestdata(t)
	noError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) == "bad" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || strings.HasPrefix(string(content), "\x30\x82") {
			return err
		}
		return os.WriteFile(path, []byte("\ufeff"+strings.ReplaceAll(string(content), "\n", "\r\n")), 0o600)
	}))
	files, err := filepath.Glob(filepath.Join(dir, "good", "*.toml"))
	noError(t, err)
	for _, name := range files {
		if _, err := loadAt(name, today); err != nil {
			t.Error(err)
		}
	}
	noError(t, os.WriteFile(files[0], []byte("\xff\xfe[\x00w\x00"), 0o600))
	if _, err := Load(files[0]); err == nil || !strings.Contains(err.Error(), ":1: the file is UTF-16 text; convert it to UTF-8") {
		t.Error(err)
	}
}

// TestNamedPipe checks that Load rejects a named pipe and does not block on it.
func TestNamedPipe(t *testing.T) {
	name, dir := minimal(t, `client_secret_file = "pipe"`, 0o600)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	checkClientSecret(t, name, "", "client_secret_file: "+pipe+" is not a regular file")
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
