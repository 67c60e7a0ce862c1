package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/internal/text"
)

// Load reads the configuration file at path, and the files, environment
// variables and systemd credentials that it names. Relative paths in it are
// relative to its folder. The error is Faults, or says why the file cannot be
// read.
func Load(path string) (*Config, error) { return loadAt(path, time.Now()) }

// loadAt is Load at a time of its own, by which it is told what has expired.
func loadAt(path string, now time.Time) (*Config, error) {
	c, _, err := loadFile(&file{name: path, now: now})
	return c, err
}

// loadFile loads f. It returns what f holds, too, as it was parsed.
func loadFile(f *file) (*Config, map[string]any, error) {
	raw, err := f.read()
	if err != nil {
		return nil, nil, err
	}
	content, err := text.FromFile(raw)
	if err != nil {
		return nil, nil, append(f.faults, Fault{File: f.name, Line: 1, Message: "the file " + err.Error()})
	}
	values, err := decode(content)
	if err != nil {
		return nil, nil, append(f.faults, f.notTOML(content, err))
	}
	c := f.config(&table{file: f, values: values, place: locate(content)})
	if len(f.faults) > 0 {
		f.sort(f.faults)
		return nil, nil, f.faults
	}
	f.sort(f.warnings)
	c.Warnings = f.warnings
	f.sort(f.withheld)
	c.Withheld = f.withheld
	c.Fingerprint = hex.EncodeToString(f.sum[:8])
	return c, values, nil
}

// A file is a configuration file while it is read.
type file struct {
	name     string
	mode     fs.FileMode
	now      time.Time
	sum      [sha256.Size]byte // of all that has been read, in its order
	faults   Faults
	warnings []Fault
	withheld Faults
	listens  []binding
	accounts []*table // with their patterns, sorted by line
	exposed  []string // paths that others can change, and that have a fault

	defaults []func() // remove from the values those keys that have their default

	presetScopes []*Provider // whose scopes the file does not set
}

func (f *file) fault(line int, format string, args ...any) {
	f.faults = append(f.faults, Fault{File: f.name, Line: line, Message: fmt.Sprintf(format, args...)})
}

// outside adds a fault of something that the file names.
func (f *file) outside(line int, format string, args ...any) {
	f.faults = append(f.faults, Fault{File: f.name, Line: line, Message: fmt.Sprintf(format, args...), Outside: true})
}

func (f *file) warn(line int, format string, args ...any) {
	f.warnings = append(f.warnings, Fault{File: f.name, Line: line, Message: fmt.Sprintf(format, args...)})
}

// sort keeps the order in which the faults of one line were found. Those of
// other files come after the file's own.
func (f *file) sort(faults []Fault) {
	other := func(x Fault) string {
		if x.File == f.name {
			return ""
		}
		return x.File
	}
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(other(a), other(b)), cmp.Compare(a.Line, b.Line))
	})
}

// path returns p as it is to be opened.
func (f *file) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(f.name), p)
}

func (f *file) read() (string, error) {
	r, err := os.Open(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: begin with a copy of example.toml there, or name another file with --config", err)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%w: run as the user that owns it, or as root", err)
	case err != nil:
		return "", err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return "", err
	}
	f.mode = info.Mode()
	f.checkOwnWriters(info)
	raw, err := io.ReadAll(r)
	f.add(string(raw))
	return string(raw), err
}

// add makes text a part of the fingerprint.
func (f *file) add(text string) { f.sum = sha256.Sum256(append(f.sum[:], text...)) }
