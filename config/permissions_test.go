package config

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// requireRoot skips a test that changes the owner of files.
func requireRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("XOAUTHD_E2E") == "required":
		t.Fatal("only root can change the owner of a file")
	default:
		t.Skip("only root can change the owner of a file")
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// faultsOf returns the error of Load, with dir removed from paths, or "".
func faultsOf(t *testing.T, name, dir string) string {
	t.Helper()
	_, err := Load(name)
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), dir+"/", "")
}

func TestConfigurationWritable(t *testing.T) {
	for _, row := range []struct {
		name   string
		expose func(t *testing.T, file string)
		want   string
	}{
		{"by root only", func(*testing.T, string) {}, ""},
		{"by all", func(t *testing.T, file string) { noError(t, os.Chmod(file, 0o646)) },
			"sub/xoauthd.toml: every local user can change it: chmod go-w "},
		{"by a group", func(t *testing.T, file string) {
			noError(t, os.Chown(file, -1, 4711))
			noError(t, os.Chmod(file, 0o660))
		},
			"sub/xoauthd.toml: the group 4711 can change it: chmod g-w "},
		{"by the group of root", func(t *testing.T, file string) { noError(t, os.Chown(file, -1, 0)); noError(t, os.Chmod(file, 0o660)) }, ""},
		{"by its owner", func(t *testing.T, file string) { noError(t, os.Chown(file, 4711, -1)) },
			"sub/xoauthd.toml: its owner, 4711, can change it: if the daemon runs as that user, run this command as that user; otherwise: chown root "},
		{"in a world-writable directory", func(t *testing.T, file string) { noError(t, os.Chmod(filepath.Dir(file), 0o777)) },
			"sub/xoauthd.toml: sub: every local user can replace files in it: chmod go-w "},
		{"in a sticky directory", func(t *testing.T, file string) {
			noError(t, os.Chmod(filepath.Dir(file), 0o777|fs.ModeSticky))
		}, ""},
		{"in a directory of another user", func(t *testing.T, file string) { noError(t, os.Chown(filepath.Dir(file), 4711, -1)) },
			"sub/xoauthd.toml: sub: its owner, 4711, can replace files in it: if the daemon runs as that user, run this command as that user; otherwise: chown root "},
		{"in a group-writable directory", func(t *testing.T, file string) {
			noError(t, os.Chown(filepath.Dir(file), -1, 4711))
			noError(t, os.Chmod(filepath.Dir(file), 0o770))
		}, "sub/xoauthd.toml: sub: the group 4711 can replace files in it: chmod g-w "},
		{"through a link into a world-writable directory", func(t *testing.T, file string) {
			open := filepath.Join(filepath.Dir(filepath.Dir(file)), "open")
			noError(t, os.Mkdir(open, 0o700))
			noError(t, os.Chmod(open, 0o777))
			noError(t, os.Rename(file, filepath.Join(open, "real.toml")))
			noError(t, os.Symlink("../open/real.toml", file))
		}, "sub/xoauthd.toml: open: every local user can replace files in it: chmod go-w "},
	} {
		t.Run(row.name, func(t *testing.T) {
			requireRoot(t)
			name, dir := minimal(t, "", 0o640)
			file := filepath.Join(dir, "sub", "xoauthd.toml")
			noError(t, os.Mkdir(filepath.Dir(file), 0o755))
			noError(t, os.Rename(name, file))
			row.expose(t, file)
			got := faultsOf(t, file, dir)
			if row.want == "" && got != "" || !strings.HasPrefix(got, row.want) || strings.Contains(got, "\n") {
				t.Fatalf("got %s, want %s", got, row.want)
			}
			applyFixes(t, file)
		})
	}
}

// applyFixes runs the commands that the faults of a configuration suggest, until it has
// no faults.
func applyFixes(t *testing.T, name string) {
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
	t.Errorf("after the suggested commands: %v", err)
}

// TestNamedFilesWritable exposes each file that the configurations in testdata/good name.
func TestNamedFilesWritable(t *testing.T) {
	requireRoot(t)
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
				if !strings.Contains(got, row.key+": ") && !strings.HasPrefix(got, "good/"+row.config+": "+dir) || !strings.Contains(got, " change it") && !strings.Contains(got, " replace files in it") {
					t.Errorf("got %s", got)
				}
				applyFixes(t, name)
			}
		})
	}
}

// TestDirectoryReportedOnce checks that an exposed directory is reported once, even if it
// holds several of the files, and that other faults are still reported.
func TestDirectoryReportedOnce(t *testing.T) {
	requireRoot(t)
	dir := copyTestdata(t)
	name := filepath.Join(dir, "good", "full.toml")
	text, err := os.ReadFile(name)
	noError(t, err)
	noError(t, os.WriteFile(name, append(text, "\n[nonsense]\n"...), 0o602))
	noError(t, os.Chmod(name, 0o602))
	noError(t, os.Chmod(dir, 0o777))
	got := faultsOf(t, name, dir)
	if strings.Count(got, "replace files in it") != 1 || strings.Count(got, "change it") != 1 || !strings.Contains(got, "nonsense") {
		t.Error(got)
	}
}

// TestFixInContainer checks that the fix is not chmod where the mount of a container
// does not permit it.
func TestFixInContainer(t *testing.T) {
	e := &exposure{"/run/secrets/a b", everyUser, "read it", "chmod g-w,o="}
	for _, row := range []struct {
		containerInfo
		want string
	}{
		{containerInfo{}, "chmod g-w,o= '/run/secrets/a b'"},
		{containerInfo{readOnly: true}, "chmod g-w,o= '/run/secrets/a b'"}, // ProtectSystem=strict
		{containerInfo{container: true}, "chmod g-w,o= '/run/secrets/a b'"},
		{containerInfo{container: true, readOnly: true}, "on the host give the file mode 0400"},
		{containerInfo{kubernetes: true, readOnly: true}, "defaultMode: 0440"},
	} {
		if got := e.fix(row.containerInfo); !strings.Contains(got, row.want) {
			t.Errorf("%+v: %s, want %s", row.containerInfo, got, row.want)
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

// TestKubernetesMount checks the layout of a Kubernetes secret volume: a world-writable
// sticky directory, symbolic links to the current version, and group-readable files.
func TestKubernetesMount(t *testing.T) {
	requireRoot(t)
	name, dir := minimal(t, `client_secret_file = "volume/secret"`, 0o600)
	volume := filepath.Join(dir, "volume")
	noError(t, os.MkdirAll(filepath.Join(volume, "..2026"), 0o755))
	noError(t, os.Chmod(volume, 0o777|fs.ModeSticky))
	noError(t, os.WriteFile(filepath.Join(volume, "..2026", "secret"), []byte("hunter"), 0o440))
	noError(t, os.Chown(filepath.Join(volume, "..2026", "secret"), 0, 4711))
	noError(t, os.Symlink("..2026", filepath.Join(volume, "..data")))
	noError(t, os.Symlink("..data/secret", filepath.Join(volume, "secret")))
	checkClientSecret(t, name, "hunter", "")
}
