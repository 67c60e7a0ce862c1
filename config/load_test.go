package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the .want files")

// copyTestdata returns a copy of testdata whose files have the modes that the tests need:
// git does not store them.
func copyTestdata(t *testing.T) string {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	for name, text := range testFiles(t) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Glob(filepath.Join(dir, "*", "*.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, configs...) {
		mode := os.FileMode(0o600)
		if strings.HasPrefix(filepath.Base(name), "public.") {
			mode = 0o644
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestMessages compares the faults and warnings of each configuration in testdata with
// the file .want of the same name.
func TestMessages(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := copyTestdata(t)
	for _, kind := range []string{"good", "bad"} {
		files, err := filepath.Glob(filepath.Join(dir, kind, "*.toml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files: %v", err)
		}
		for _, name := range files {
			t.Run(kind+"/"+filepath.Base(name), func(t *testing.T) {
				c, err := loadAt(name, today)
				got := err
				if kind == "good" {
					if err != nil {
						t.Fatal(err)
					}
					got = Faults(c.Warnings)
				}
				var faults Faults
				if !errors.As(got, &faults) {
					t.Fatalf("not faults: %v", got)
				}
				checkMessages(t, filepath.Join("testdata", kind, filepath.Base(name)), strings.ReplaceAll(faults.Error(), dir+"/", ""))
				if strings.Contains(faults.Error(), "hunter") {
					t.Error("a secret is shown")
				}
			})
		}
	}
}

func checkMessages(t *testing.T, name, got string) {
	name = strings.TrimSuffix(name, ".toml") + ".want"
	got = strings.ReplaceAll(got, filepath.Base(filepath.Dir(name))+"/", "")
	if got != "" {
		got += "\n"
	}
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestRelativePaths loads the valid configurations from another working directory. For
// every key that names a file, one of them uses it.
func TestRelativePaths(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	example := readExample(t)
	t.Chdir(copyTestdata(t))
	files, err := filepath.Glob("good/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
		if _, err := Load(name); err != nil {
			t.Error(err)
		}
	}
	keys := regexp.MustCompile(`\w+_file\b|client_certificate\b`).FindAllString(example, -1)
	if len(keys) < 8 {
		t.Fatalf("only %q name files", keys)
	}
	for _, key := range keys {
		if !strings.Contains(all.String(), "\n"+key+" =") {
			t.Errorf("no good file has a %s", key)
		}
	}
}

// TestLoginTimeout checks that a person has three minutes to type a password, as in
// Dovecot.
func TestLoginTimeout(t *testing.T) {
	name, _ := minimal(t, "", 0o600)
	if got := load(t, name).Limits.LoginTimeout; got != 3*time.Minute {
		t.Errorf("%v", got)
	}
}
