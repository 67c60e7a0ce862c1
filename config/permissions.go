package config

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links in a path, as Linux does (path_resolution(7)).
const maxLinks = 40

// An exposure is a file or directory that an untrusted user can change or, if it holds
// a secret, read. Trusted are root and the user that runs xoauthd.
type exposure struct {
	path    string
	user    string // the untrusted users, as in "the group mail"
	action  string // what they can do, as in "change it"
	command string // the fix; the path follows it
}

// Error returns the path, the problem and the fix.
func (e *exposure) Error() string { return e.path + ": " + e.message() }

func (e *exposure) message() string {
	text := e.user + " can " + e.action + ": "
	if e.command == chownRoot && os.Geteuid() == 0 { // the daemon might not be able to read a file of root
		text += "if the daemon runs as that user, run this command as that user; otherwise: "
	}
	return text + e.fix(detectContainer(e.path))
}

// chownRoot is the fix for a file whose owner is not trusted.
const chownRoot = "chown root"

// checkReaders returns an exposure if users outside the file's group can read a secret
// file, or if anyone but the owner can change it. The group may read: the daemon reads
// the file through its group.
func checkReaders(path string, info fs.FileInfo) error {
	e := &exposure{path, everyUser, "change it", "chmod g-w,o="}
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
	case mode&0o004 != 0:
		e.action = "read it"
	case mode&0o020 != 0:
		stat, _ := info.Sys().(*syscall.Stat_t)
		e.user = "the group " + groupName(stat.Gid)
	default:
		return nil
	}
	return e
}

const everyUser = "every local user"

// checkWriters returns an exposure if an untrusted user can change or replace the open
// file at path.
func checkWriters(path string, info fs.FileInfo) error {
	if e := findWriters(path, info); e != nil {
		return e
	}
	if !info.Mode().IsRegular() {
		return nil // a pipe has no directory
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return checkDirectories(absolute)
}

// checkDirectories resolves path from the root, and returns an exposure if an untrusted
// user can rename or replace a component of it.
func checkDirectories(path string) error {
	const separator = string(filepath.Separator)
	dir, rest := separator, strings.Split(path, separator)
	links := 0
	for len(rest) > 0 {
		part := filepath.Join(dir, rest[0]) // Join also resolves ".."
		rest = rest[1:]
		info, err := os.Lstat(part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a descriptor in /proc whose file was deleted
		case err != nil:
			return pathError(part, err)
		case info.Mode()&fs.ModeSymlink == 0:
			if e := findWriters(part, info); e != nil {
				return e
			}
			dir = part
			continue
		}
		target, err := os.Readlink(part)
		if err != nil {
			return pathError(part, err)
		}
		if links++; links > maxLinks {
			return pathError(path, syscall.ELOOP)
		}
		if filepath.IsAbs(target) {
			dir = separator
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return nil
}

// findWriters returns an exposure if an untrusted user can change the file, or the
// entries of the directory, at path. In a directory with the sticky bit, other users can
// replace only their own files.
func findWriters(path string, info fs.FileInfo) *exposure {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	e := &exposure{path: path, action: "change it"}
	if info.IsDir() {
		e.action = "replace files in it"
	}
	sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
	mode := info.Mode().Perm()
	switch {
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		e.user, e.command = "its owner, "+ownerName(stat.Uid)+",", chownRoot
	case sticky:
		return nil
	case mode&0o002 != 0:
		e.user, e.command = everyUser, "chmod go-w"
	case mode&0o020 != 0 && !trustedGroup(stat.Gid):
		e.user, e.command = "the group "+groupName(stat.Gid), "chmod g-w"
	default:
		return nil
	}
	return e
}

// trustedGroup reports whether all members of a group are trusted: root's group, and the
// private group of the user that runs xoauthd, which has the name of the user.
func trustedGroup(gid uint32) bool {
	if gid == 0 {
		return true
	}
	own, err := user.Current()
	return err == nil && int(gid) == os.Getegid() && own.Username == groupName(gid)
}

func ownerName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.Itoa(int(gid))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// checkWriters is like the function checkWriters, but returns an exposure of the same
// path only once: several files may be in one directory.
func (f *file) checkWriters(path string, info fs.FileInfo) error {
	err := checkWriters(path, info)
	var e *exposure
	if errors.As(err, &e) {
		if slices.Contains(f.exposed, e.path) {
			return nil
		}
		f.exposed = append(f.exposed, e.path)
	}
	return err
}

// checkOwnWriters reports a fault if untrusted users can change the configuration file.
func (f *file) checkOwnWriters(info fs.FileInfo) {
	err := f.checkWriters(f.name, info)
	var e *exposure
	switch {
	case errors.As(err, &e) && e.path == f.name:
		f.externalFault(0, "%s", e.message())
	case err != nil:
		f.externalFault(0, "%v", err)
	}
}
