package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tool returns the path of a systemd program. If it is not installed, tool skips the
// test, or fails it if XOAUTHD_E2E=required.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	skip(t, name+" is not installed")
	return ""
}

// skip skips the test for reason, or fails it if XOAUTHD_E2E=required.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("XOAUTHD_E2E") == "required" {
		t.Fatalf("%s, and XOAUTHD_E2E=required", reason)
	}
	t.Skip(reason)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// setting returns the value of key. It fails the test unless unit sets key once.
func setting(t *testing.T, unit, key string) string {
	t.Helper()
	all := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(unit, -1)
	if len(all) != 1 {
		t.Fatalf("the unit sets %s %d times", key, len(all))
	}
	return all[0][1]
}

func TestUnitsVerify(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	// systemd-analyze requires that the program of ExecStart= exists.
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	units, err := filepath.Glob("xoauthd*.s[eo][rc]*") // services and sockets
	if err != nil {
		t.Fatal(err)
	}
	if len(units) != 6 {
		t.Errorf("units %q", units)
	}
	args, dir := []string{"verify", "--man=no", "--recursive-errors=no"}, t.TempDir()
	for _, name := range units {
		unit := strings.ReplaceAll(read(t, name), "/usr/bin/xoauthd", program)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestSocketUnits checks that each socket unit listens on both loopback addresses,
// starts the service, has the name that the configuration and the errors use, and has
// no trigger limit, so that systemd never closes the port.
func TestSocketUnits(t *testing.T) {
	for name, port := range map[string]string{"imap": "1143", "smtp": "1587", "pop3": "1110", "web": "1180", "metrics": "9180"} {
		unit := read(t, "xoauthd-"+name+".socket")
		listens := regexp.MustCompile(`(?m)^ListenStream=(.*)$`).FindAllStringSubmatch(unit, -1)
		if len(listens) != 2 || listens[0][1] != "127.0.0.1:"+port || listens[1][1] != "[::1]:"+port {
			t.Errorf("%s listens at %q", name, listens)
		}
		for key, want := range map[string]string{
			"FileDescriptorName": name, "Service": "xoauthd.service", "TriggerLimitIntervalSec": "0", "WantedBy": "sockets.target",
		} {
			if got := setting(t, unit, key); got != want {
				t.Errorf("%s: %s=%s, want %s", name, key, got, want)
			}
		}
		// For machines on which [::1] cannot be bound.
		if dropIn := "\n#   [Socket]\n#   ListenStream=\n#   ListenStream=127.0.0.1:" + port + "\n"; !strings.Contains(unit, dropIn) {
			t.Errorf("%s does not show the drop-in without [::1]", name)
		}
		shown := regexp.MustCompile(`(?m)^(# )?(protocol = "` + name + `".*\n(# )?|\[` + name + `\].*\n)address +?= "localhost:` + port + `"`)
		if !shown.MatchString(read(t, "../example.toml")) {
			t.Errorf("example.toml has no %s at localhost:%s", name, port)
		}
	}
}

func TestUnitExposure(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	unit := read(t, "xoauthd.service")
	with := func(lines string) string {
		return strings.Replace(unit, "[Install]", lines+"\n[Install]", 1)
	}
	tests := []struct {
		name, unit string
		limit      float64
	}{
		{"as shipped", unit, 1.3},
		{"with the suggested drop-in", with("PrivateUsers=yes\nProcSubset=pid"), 1.1},
		{"with the suggested address limits", with("PrivateUsers=yes\nProcSubset=pid\nIPAddressDeny=any"), 0.9},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "xoauthd.service")
			if err := os.WriteFile(path, []byte(test.unit), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", path).CombinedOutput()
			if err != nil {
				t.Fatalf("systemd-analyze security: %v\n%s", err, out)
			}
			level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
			if level == nil {
				t.Fatalf("systemd-analyze security printed no level:\n%s", out)
			}
			if got, err := strconv.ParseFloat(string(level[1]), 64); err != nil || got > test.limit {
				t.Errorf("exposure is %s, want at most %v\n%s", level[1], test.limit, out)
			}
		})
	}
}

// TestUnitSystemCalls checks that the filter permits the system calls that the daemon
// needs: to create a socket with a mode, to lock the state directory, to disable core
// dumps, and to run a token_command. The suggested drop-in permits chown, which
// socket_group needs.
func TestUnitSystemCalls(t *testing.T) {
	groups := callGroups(t)
	unit := read(t, "xoauthd.service")
	const dropIn = "SystemCallFilter=@chown"
	if !strings.Contains(unit, "#   "+dropIn+"\n") {
		t.Errorf("the unit does not mention %s", dropIn)
	}
	for calls, unit := range map[string]string{
		"fchmodat umask unlinkat renameat bind listen accept4 connect setsockopt getsockopt splice flock fsync": unit,
		"prctl prlimit64 execve clone3 setpgid kill wait4":                                                      unit,
		"fchownat": unit + dropIn,
	} {
		allowed := allowedCalls(unit, groups)
		for _, call := range strings.Fields(calls) {
			if !allowed[call] {
				t.Errorf("%s is forbidden", call)
			}
		}
		if allowed["setuid"] || allowed["mount"] {
			t.Error("everything is allowed")
		}
	}
}

// callGroups returns the groups of system calls that filters can name, each with its
// calls and nested groups.
func callGroups(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command(tool(t, "systemd-analyze"), "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	groups := make(map[string][]string)
	var group string
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); strings.HasPrefix(line, "@") {
			group = name
		} else {
			groups[group] = append(groups[group], name)
		}
	}
	return groups
}

// allowedCalls returns the system calls that the filters of unit permit, applied in
// order.
func allowedCalls(unit string, groups map[string][]string) map[string]bool {
	allowed := make(map[string]bool)
	var set func(name string, allow bool)
	set = func(name string, allow bool) {
		allowed[name] = allow
		for _, member := range groups[name] {
			set(member, allow)
		}
	}
	for _, filter := range regexp.MustCompile(`(?m)^SystemCallFilter=(.*)$`).FindAllStringSubmatch(unit, -1) {
		names, forbidden := strings.CutPrefix(filter[1], "~")
		for _, name := range strings.Fields(names) {
			set(name, !forbidden)
		}
	}
	return allowed
}

// TestUnitMemory checks that GOMEMLIMIT is below MemoryMax=, so that the garbage
// collector frees memory before the kernel kills the daemon.
func TestUnitMemory(t *testing.T) {
	unit := read(t, "xoauthd.service")
	var hard, soft float64
	if _, err := fmt.Sscanf(setting(t, unit, "MemoryMax"), "%fM", &hard); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(setting(t, unit, "Environment=GOMEMLIMIT"), "%fMiB", &soft); err != nil {
		t.Fatal(err)
	}
	if soft != 0.8*hard {
		t.Errorf("GOMEMLIMIT is %v MiB, want 0.8 of %v MiB", soft, hard)
	}
}

// TestUnitConsistent checks that ExecPaths= permits the program of ExecStart=, that
// RuntimeDirectory= is the directory that the daemon's errors suggest for sockets,
// and that xoauthd.sysusers creates the user of the unit.
func TestUnitConsistent(t *testing.T) {
	unit := read(t, "xoauthd.service")
	program, _, _ := strings.Cut(setting(t, unit, "ExecStart"), " ")
	if paths := setting(t, unit, "ExecPaths"); paths != program {
		t.Errorf("ExecStart= runs %s, but ExecPaths= permits %s", program, paths)
	}
	if dir := setting(t, unit, "RuntimeDirectory"); dir != "xoauthd" {
		t.Errorf("sockets are in /run/%s, want /run/xoauthd", dir)
	}
	user := setting(t, unit, "User")
	if !strings.Contains(read(t, "xoauthd.sysusers"), "\nu "+user+" ") {
		t.Errorf("xoauthd.sysusers does not create the user %s", user)
	}
}

// TestConfigurationMode checks that systemd-tmpfiles gives a configuration created by
// root a mode that lets the daemon's group read it, and no other user.
func TestConfigurationMode(t *testing.T) {
	sysusers, tmpfiles := tool(t, "systemd-sysusers"), tool(t, "systemd-tmpfiles")
	if os.Getuid() != 0 {
		skip(t, "only root can change the owner of a file")
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc/xoauthd"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(root, "etc/xoauthd/xoauthd.toml")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{sysusers, "--root=" + root, abs(t, "xoauthd.sysusers")},
		{tmpfiles, "--root=" + root, "--create", abs(t, "xoauthd.tmpfiles")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(args[0]), err, out)
		}
	}
	group := regexp.MustCompile(`(?m)^xoauthd:x:(\d+):`).FindStringSubmatch(read(t, filepath.Join(root, "etc/group")))
	if group == nil {
		t.Fatal("systemd-sysusers created no group")
	}
	if out, err := exec.Command("stat", "-c", "%a %u %g", filepath.Dir(config), config).Output(); err != nil {
		t.Fatal(err)
	} else if want := fmt.Sprintf("2750 0 %s\n640 0 %[1]s\n", group[1]); string(out) != want {
		t.Errorf("directory and file:\n%swant\n%s", out, want)
	}
}

func abs(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
