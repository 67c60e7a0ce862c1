package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/proxy"
)

// TestPasswordsAreKept checks that the password cache survives a restart, and that a damaged file of
// it is ignored with a warning, and replaced.
func TestPasswordsAreKept(t *testing.T) {
	c := load(t, listeners)
	file := filepath.Join(c.StateDirectory, passwordsFile)
	var log bytes.Buffer
	run := func() {
		t.Helper()
		log.Reset()
		d, err := Assemble(c, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		attempt := proxy.Attempt{Protocol: "imap", User: "alice@example.com", Password: "secret", UID: 8, HasUID: true}
		if _, err := d.accounts.LogIn(t.Context(), attempt); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	run()
	first := read()
	run()
	if again := read(); again != first || log.Len() > 0 {
		t.Errorf("written anew, though nothing is: %s\n%s", again, &log)
	}
	for _, text := range []string{first[:len(first)/2], strings.Replace(first, `"sealed":"`, `"sealed":"AAAA`, 1), `{"version":1,"plain":"e30="}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run()
		if !strings.Contains(log.String(), `level=WARN msg="recognized passwords not loaded"`) {
			t.Errorf("%s: %s", text, &log)
		}
		if again := read(); again == text || !strings.Contains(again, `"sealed"`) {
			t.Errorf("left is %s", again)
		}
		run()
		if log.Len() > 0 {
			t.Error(&log)
		}
	}
}
