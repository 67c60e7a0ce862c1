package config

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needRoot skips a test that gives files to other users.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("XOAUTHD_E2E") == "required":
		t.Fatal("only root can give files away")
	default:
		t.Skip("only root can give files away")
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// faultsOf returns what is wrong with a configuration, with dir cut off.
func faultsOf(t *testing.T, name, dir string) string {
	t.Helper()
	_, err := Load(name)
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), dir+"/", "")
}

func TestConfigurationThatOthersCanChange(t *testing.T) {
	for _, row := range []struct {
		name   string
		expose func(t *testing.T, file string)
		want   string
	}{
		{"of root alone", func(*testing.T, string) {}, ""},
		{"by all", func(t *testing.T, file string) { noError(t, os.Chmod(file, 0o646)) },
			"sub/xoauthd.toml: every user of this machine can change it: chmod go-w "},
		{"by a group", func(t *testing.T, file string) {
			noError(t, os.Chown(file, -1, 4711))
			noError(t, os.Chmod(file, 0o660))
		},
			"sub/xoauthd.toml: the group 4711 can change it: chmod g-w "},
		{"by the group of root", func(t *testing.T, file string) { noError(t, os.Chown(file, -1, 0)); noError(t, os.Chmod(file, 0o660)) }, ""},
		{"by its owner", func(t *testing.T, file string) { noError(t, os.Chown(file, 4711, -1)) },
			"sub/xoauthd.toml: its owner, 4711, can change it: chown root "},
		{"in a folder of all", func(t *testing.T, file string) { noError(t, os.Chmod(filepath.Dir(file), 0o777)) },
			"sub/xoauthd.toml: sub: every user of this machine can replace what is in it: chmod go-w "},
		{"in a sticky folder", func(t *testing.T, file string) {
			noError(t, os.Chmod(filepath.Dir(file), 0o777|fs.ModeSticky))
		}, ""},
		{"in a folder of another", func(t *testing.T, file string) { noError(t, os.Chown(filepath.Dir(file), 4711, -1)) },
			"sub/xoauthd.toml: sub: its owner, 4711, can replace what is in it: chown root "},
		{"in a folder of a group", func(t *testing.T, file string) {
			noError(t, os.Chown(filepath.Dir(file), -1, 4711))
			noError(t, os.Chmod(filepath.Dir(file), 0o770))
		}, "sub/xoauthd.toml: sub: the group 4711 can replace what is in it: chmod g-w "},
		{"by a link in a folder of all", func(t *testing.T, file string) {
			open := filepath.Join(filepath.Dir(filepath.Dir(file)), "open")
			noError(t, os.Mkdir(open, 0o700))
			noError(t, os.Chmod(open, 0o777))
			noError(t, os.Rename(file, filepath.Join(open, "real.toml")))
			noError(t, os.Symlink("../open/real.toml", file))
		}, "sub/xoauthd.toml: open: every user of this machine can replace what is in it: chmod go-w "},
	} {
		t.Run(row.name, func(t *testing.T) {
			needRoot(t)
			name, dir := minimal(t, "", 0o640)
			file := filepath.Join(dir, "sub", "xoauthd.toml")
			noError(t, os.Mkdir(filepath.Dir(file), 0o755))
			noError(t, os.Rename(name, file))
			row.expose(t, file)
			got := faultsOf(t, file, dir)
			if row.want == "" && got != "" || !strings.HasPrefix(got, row.want) || strings.Contains(got, "\n") {
				t.Fatalf("got %s, want %s", got, row.want)
			}
			followAdvice(t, file)
		})
	}
}

// followAdvice runs the commands with which the faults of a configuration end,
// until it has none.
func followAdvice(t *testing.T, name string) {
	t.Helper()
	for range 3 {
		_, err := Load(name)
		if err == nil {
			return
		}
		for line := range strings.Lines(err.Error()) {
			command := line[strings.LastIndex(line, ": ")+2:]
			if !strings.HasPrefix(command, "ch") {
				t.Fatalf("no command: %s", line)
			}
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
		}
	}
	_, err := Load(name)
	t.Errorf("after its own advice: %v", err)
}

// TestOtherFilesThatOthersCanChange exposes each file that the good ones name.
func TestOtherFilesThatOthersCanChange(t *testing.T) {
	needRoot(t)
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, row := range []struct{ config, file, key string }{
		{"full.toml", "ca.pem", "ca_file"},
		{"full.toml", "client.secret", "client_secret_file"},
		{"full.toml", "store.key", "key_file"},
		{"full.toml", "server.pem", "file"},
		{"full.toml", "server.key", "key_file"},
		{"listeners.toml", "ca.pem", "client_ca_file"},
		{"flows.toml", "chain.pem", "client_certificate"},
		{"flows.toml", "pkcs1.key", "client_key_file"},
		{"flows.toml", "service.json", "service_account_file"},
		{"flows.toml", "upstream.secret", "upstream_password_file"},
		{"patterns.toml", "staff.passwords", "password_file"},
		{"proxies.toml", "proxy.secret", "proxy_file"},
		{"clients.toml", "assertion.jwt", "client_assertion_file"},
		{"logins.toml", "helper", "token_command"},
	} {
		t.Run(row.key+" "+row.file, func(t *testing.T) {
			dir := copyTestdata(t)
			helper := filepath.Join(dir, "helper")
			noError(t, os.WriteFile(helper, []byte("#!/bin/sh\n"), 0o755))
			noError(t, os.WriteFile(filepath.Join(dir, "assertion.jwt"), []byte("a.b.c"), 0o600))
			name := filepath.Join(dir, "good", row.config)
			text, err := os.ReadFile(name)
			noError(t, err)
			changed := strings.NewReplacer("/bin/sh", helper, "no.assertion", "assertion.jwt").Replace(string(text))
			noError(t, os.WriteFile(name, []byte(changed), 0o600))
			if got := faultsOf(t, name, dir); got != "" {
				t.Fatal(got)
			}
			exposed := filepath.Join(dir, row.file)
			for _, expose := range []func() error{
				func() error { return os.Chmod(exposed, 0o722) },
				func() error { return os.Chown(exposed, 4711, -1) },
				func() error { return os.Chmod(dir, 0o777) },
			} {
				noError(t, expose())
				got := faultsOf(t, name, dir)
				if !strings.Contains(got, row.key+": ") && !strings.HasPrefix(got, "good/"+row.config+": "+dir) || !strings.Contains(got, " change it") && !strings.Contains(got, " replace what is in it") {
					t.Errorf("got %s", got)
				}
				followAdvice(t, name)
			}
		})
	}
}

// TestFolderIsToldOnce holds that a folder is one fault, however many files of the
// configuration are in it, and that the faults of the file are told beside it.
func TestFolderIsToldOnce(t *testing.T) {
	needRoot(t)
	dir := copyTestdata(t)
	name := filepath.Join(dir, "good", "full.toml")
	text, err := os.ReadFile(name)
	noError(t, err)
	noError(t, os.WriteFile(name, append(text, "\n[nonsense]\n"...), 0o602))
	noError(t, os.Chmod(name, 0o602))
	noError(t, os.Chmod(dir, 0o777))
	got := faultsOf(t, name, dir)
	if strings.Count(got, "replace what is in it") != 1 || strings.Count(got, "change it") != 1 || !strings.Contains(got, "nonsense") {
		t.Error(got)
	}
}

// TestRemedyInAContainer holds that nobody is told to chmod what a container
// cannot.
func TestRemedyInAContainer(t *testing.T) {
	e := &exposure{"/run/secrets/a b", everyUser, "read it", "chmod g-w,o="}
	for _, row := range []struct {
		surroundings
		want string
	}{
		{surroundings{}, "chmod g-w,o= '/run/secrets/a b'"},
		{surroundings{readOnly: true}, "chmod g-w,o= '/run/secrets/a b'"}, // ProtectSystem=strict
		{surroundings{container: true}, "chmod g-w,o= '/run/secrets/a b'"},
		{surroundings{container: true, readOnly: true}, "on the host give the file mode 0400"},
		{surroundings{kubernetes: true, readOnly: true}, "defaultMode: 0440"},
	} {
		if got := e.remedy(row.surroundings); !strings.Contains(got, row.want) {
			t.Errorf("%+v: %s, want %s", row.surroundings, got, row.want)
		}
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	name, dir := minimal(t, `client_secret_file = "secret"`, 0o600)
	noError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("hunter"), 0o600))
	noError(t, os.Chmod(filepath.Join(dir, "secret"), 0o444))
	if got := faultsOf(t, name, dir); !strings.Contains(got, "defaultMode: 0440") || strings.Contains(got, "chmod") {
		t.Error(got)
	}
}

// TestMountOfKubernetes builds what a secret volume looks like: a sticky folder of
// all users, links to the current version, and files that the group may read.
func TestMountOfKubernetes(t *testing.T) {
	needRoot(t)
	name, dir := minimal(t, `client_secret_file = "volume/secret"`, 0o600)
	volume := filepath.Join(dir, "volume")
	noError(t, os.MkdirAll(filepath.Join(volume, "..2026"), 0o755))
	noError(t, os.Chmod(volume, 0o777|fs.ModeSticky))
	noError(t, os.WriteFile(filepath.Join(volume, "..2026", "secret"), []byte("hunter"), 0o440))
	noError(t, os.Chown(filepath.Join(volume, "..2026", "secret"), 0, 4711))
	noError(t, os.Symlink("..2026", filepath.Join(volume, "..data")))
	noError(t, os.Symlink("..data/secret", filepath.Join(volume, "secret")))
	checkSecretOf(t, name, "hunter", "")
}
