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

// maxLinks bounds the symbolic links of a path, as Linux does.
const maxLinks = 40

// An exposure is a file or folder that a user other than root and the one that
// xoauthd runs as can change or, if it holds a secret, read.
type exposure struct {
	path    string
	who     string
	can     string
	command string // changes that, with the path behind it
}

// Error returns the whole message, which ends with what helps.
func (e *exposure) Error() string { return e.path + ": " + e.message() }

func (e *exposure) message() string {
	return e.who + " can " + e.can + ": " + e.remedy(surroundingsOf(e.path))
}

// checkReaders returns an exposure if a user can read a secret that should not,
// or can change it. The group may read: by that, the daemon does.
func checkReaders(path string, info fs.FileInfo) error {
	e := &exposure{path, everyUser, "change it", "chmod g-w,o="}
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
	case mode&0o004 != 0:
		e.can = "read it"
	case mode&0o020 != 0:
		stat, _ := info.Sys().(*syscall.Stat_t)
		e.who = "the group " + groupName(stat.Gid)
	default:
		return nil
	}
	return e
}

const everyUser = "every user of this machine"

// checkWriters returns an exposure if a user other than root and the one that
// xoauthd runs as can change the open file at path, or put another in its place.
func checkWriters(path string, info fs.FileInfo) error {
	if e := writers(path, info); e != nil {
		return e
	}
	if !info.Mode().IsRegular() {
		return nil // a pipe, which is in no folder
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return checkFolders(absolute)
}

// checkFolders follows a path from the root to its file, and returns an exposure
// if a user can rename or replace one of its parts.
func checkFolders(path string) error {
	const separator = string(filepath.Separator)
	folder, rest := separator, strings.Split(path, separator)
	links := 0
	for len(rest) > 0 {
		part := filepath.Join(folder, rest[0]) // which also follows ".."
		rest = rest[1:]
		info, err := os.Lstat(part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a descriptor in /proc, whose file has no name any more
		case err != nil:
			return reason(part, err)
		case info.Mode()&fs.ModeSymlink == 0:
			if e := writers(part, info); e != nil {
				return e
			}
			folder = part
			continue
		}
		target, err := os.Readlink(part)
		if err != nil {
			return reason(part, err)
		}
		if links++; links > maxLinks {
			return reason(path, syscall.ELOOP)
		}
		if filepath.IsAbs(target) {
			folder = separator
		}
		rest = append(strings.Split(target, separator), rest...)
	}
	return nil
}

// writers returns an exposure if a user other than root and the one that xoauthd
// runs as can change a file or what is in a folder. In a folder with the sticky
// bit, others can replace no file but their own.
func writers(path string, info fs.FileInfo) *exposure {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	e := &exposure{path: path, can: "change it"}
	if info.IsDir() {
		e.can = "replace what is in it"
	}
	sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
	mode := info.Mode().Perm()
	switch {
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		e.who, e.command = "its owner, "+ownerName(stat.Uid)+",", "chown root"
	case sticky:
		return nil
	case mode&0o002 != 0:
		e.who, e.command = everyUser, "chmod go-w"
	case mode&0o020 != 0 && !trustedGroup(stat.Gid):
		e.who, e.command = "the group "+groupName(stat.Gid), "chmod g-w"
	default:
		return nil
	}
	return e
}

// trustedGroup reports whether a group has no members but those that may change
// the configuration: root's group, and the private group of the user that xoauthd
// runs as, which is called as the user is.
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

// checkWriters is that of the package, but returns each exposure once, however
// many files are in the same folder.
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

// checkOwnWriters adds a fault if others can change the configuration itself.
func (f *file) checkOwnWriters(info fs.FileInfo) {
	err := f.checkWriters(f.name, info)
	var e *exposure
	switch {
	case errors.As(err, &e) && e.path == f.name:
		f.outside(0, "%s", e.message())
	case err != nil:
		f.outside(0, "%v", err)
	}
}
