//go:build linux

package soak

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk holds the state directory.
type disk struct {
	dir   string
	small bool // a small file system of its own
}

func stateDirectory(dir string) string { return filepath.Join(dir, "state") }

// newDisk makes the state directory, on a small file system in memory if the test is
// root. It ends with the test.
func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	k := &disk{dir: stateDirectory(dir)}
	must(t, os.Mkdir(k.dir, 0o700))
	if os.Getuid() != 0 {
		lacking(t, "only root can mount a small file system: the state directory is never full")
		return k
	}
	owner := daemonUser(t)
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700,uid="+strconv.Itoa(int(owner.Uid))+
		",gid="+strconv.Itoa(int(owner.Gid)), "xoauthd-soak", k.dir).CombinedOutput()
	if err != nil {
		lacking(t, "no file system can be mounted, so the state directory is never full: "+string(out))
		must(t, os.Chown(k.dir, int(owner.Uid), int(owner.Gid)))
		return k
	}
	k.small = true
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", k.dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return k
}

// lacking logs that a fault is left out. With XOAUTHD_E2E=required it ends the test.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("XOAUTHD_E2E") == "required" {
		t.Fatal(what)
	}
	t.Log("LEFT OUT: " + what)
}

// fill uses up the space, including what the daemon frees, until over is called.
func (k *disk) fill(t *testing.T) (over func()) {
	t.Helper()
	name := filepath.Join(k.dir, "filler")
	f, err := os.Create(name)
	must(t, err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for block := make([]byte, 4096); ; {
			_, err := f.Write(block)
			if err == nil {
				continue
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		must(t, errors.Join(f.Close(), os.Remove(name)))
	}
}

// lock makes the state directory read-only until over is called.
func (k *disk) lock(t *testing.T) (over func()) {
	t.Helper()
	must(t, os.Chmod(k.dir, 0o500))
	return func() { must(t, os.Chmod(k.dir, 0o700)) }
}

// exhaustDescriptors leaves the daemon none or a few descriptors, in turn, until over is
// called. So the daemon runs out of them when it accepts, when it connects to a server
// and when it saves a grant.
func (d *daemon) exhaustDescriptors(t *testing.T) (over func()) {
	t.Helper()
	usual, err := d.prlimit("--nofile", "--output=SOFT", "--noheadings")
	must(t, err)
	open := d.usage(t).descriptors
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for few := 0; ; few = (few + 1) % 6 {
			if _, err := d.prlimit(fmt.Sprintf("--nofile=%d:", open+few)); err != nil {
				stopped <- err
				return
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-stop:
				_, err := d.prlimit("--nofile=" + strings.TrimSpace(usual) + ":")
				stopped <- err
				return
			}
		}
	}()
	return func() {
		close(stop)
		must(t, <-stopped)
	}
}

// prlimit reads or sets limits of the daemon. It runs as the daemon's user, because root
// in a container may lack CAP_SYS_RESOURCE.
func (d *daemon) prlimit(args ...string) (string, error) {
	cmd := exec.Command("prlimit", append([]string{"--pid=" + strconv.Itoa(d.cmd.Process.Pid)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.user}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%v: %w: %s", cmd, err, out)
	}
	return string(out), err
}
