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

// Load reads the configuration file at path, and the files, environment variables and
// systemd credentials that it names. Relative paths are relative to the directory of the
// file. If the file can be read but is invalid, the error is of type Faults. Load may be
// called concurrently.
func Load(path string) (*Config, error) { return loadAt(path, time.Now()) }

// loadAt is Load with now as the current time, which decides what has expired.
func loadAt(path string, now time.Time) (*Config, error) {
	c, _, err := loadFile(&file{name: path, now: now})
	return c, err
}

// loadFile loads f. It also returns the parsed values of the file.
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
		return nil, nil, append(f.faults, f.syntaxFault(content, err))
	}
	c := f.config(&table{file: f, values: values, pos: indexPositions(content)})
	if len(f.faults) > 0 {
		f.sort(f.faults)
		return nil, nil, f.faults
	}
	f.sort(f.warnings)
	c.Warnings = f.warnings
	f.sort(f.unavailable)
	c.Unavailable = f.unavailable
	c.Fingerprint = hex.EncodeToString(f.sum[:8])
	return c, values, nil
}

// A file is the state of loading one configuration file.
type file struct {
	name        string
	mode        fs.FileMode
	now         time.Time
	sum         [sha256.Size]byte // of everything read so far, in order
	faults      Faults
	warnings    []Fault
	unavailable Faults
	bindings    []binding
	accounts    []*table // including patterns, sorted by line
	exposed     []string // paths already reported because other users can change them

	defaults []func() // each removes a key with its default value from the values

	devices      []*Devices  // of listeners without a login
	presetScopes []*Provider // providers without a scopes key
}

func (f *file) fault(line int, format string, args ...any) {
	f.faults = append(f.faults, Fault{File: f.name, Line: line, Message: fmt.Sprintf(format, args...)})
}

// externalFault reports a fault of something that the file names.
func (f *file) externalFault(line int, format string, args ...any) {
	f.faults = append(f.faults, Fault{File: f.name, Line: line, Message: fmt.Sprintf(format, args...), External: true})
}

func (f *file) warn(line int, format string, args ...any) {
	f.warnings = append(f.warnings, Fault{File: f.name, Line: line, Message: fmt.Sprintf(format, args...)})
}

// sort sorts faults by line, those of other files last. It keeps the order of the faults
// of one line.
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

// path resolves p relative to the directory of the configuration file.
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
		return "", fmt.Errorf("%w: copy example.toml there, or name another file with --config", err)
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
	f.addToFingerprint(string(raw))
	return string(raw), err
}

func (f *file) addToFingerprint(text string) { f.sum = sha256.Sum256(append(f.sum[:], text...)) }
