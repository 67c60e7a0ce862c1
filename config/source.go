package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A source is a key of a table that says where a secret is.
type source struct {
	key  string
	read func(string) (string, error)
}

// apart reports whether the secret is not in the configuration itself, where TOML
// has rules for quotes.
func (s source) apart() bool {
	return strings.HasSuffix(s.key, "_file") || strings.HasSuffix(s.key, "_env") || strings.HasSuffix(s.key, "_credential")
}

// isQuoted reports whether s is in quotes.
func isQuoted(s string) bool {
	for _, quotes := range []string{`""`, "''", "“”", "‘’", "``"} {
		runes := []rune(quotes)
		begin, end := string(runes[0]), string(runes[1])
		if len(s) >= len(begin)+len(end) && strings.HasPrefix(s, begin) && strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}

// variants returns the keys by which a secret can be given.
func variants(key string) []string {
	return []string{key, key + "_file", key + "_env", key + "_credential"}
}

// sources returns the sources that the variants of key name.
func (t *table) sources(key string) []source {
	keys := variants(key)
	return []source{
		{keys[0], func(secret string) (string, error) { return t.inlineSecret(key, secret) }},
		{keys[1], t.fileSecret},
		{keys[2], envSecret},
		{keys[3], credentialSecret},
	}
}

// given returns those of the keys that are there, in the order of the file.
func (t *table) given(keys ...string) []string {
	given := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !t.has(key) })
	slices.SortStableFunc(given, func(a, b string) int { return t.line(a) - t.line(b) })
	return given
}

// keepOne tells of all the keys that are there but the first. The noun is what
// each of them gives.
func (t *table) keepOne(noun string, keys ...string) {
	given := t.given(keys...)
	for i := 1; i < len(given); i++ {
		t.fault(given[i], "there is a %s already, by %s in line %d; keep one of the two", noun, given[0], t.line(given[0]))
	}
}

// secret reads what one of the sources gives, or none of them. The noun is what
// it is called where two do.
func (t *table) secret(noun string, check func(string) error, sources ...source) Secret {
	var keys []string
	var secret string
	for _, source := range sources {
		keys = append(keys, source.key)
		arg := t.text(source.key, "")
		if arg == "" {
			continue
		}
		s, err := source.read(arg)
		if err == nil && source.apart() {
			s, err = text.FromFile(s)
		}
		s = strings.TrimRight(s, "\r\n")
		if err == nil && source.apart() && isQuoted(s) {
			err = errors.New("what is in it has quotes around it, which would be part of it: take the quotes away")
		}
		if err == nil {
			err = check(s)
		}
		var w withheld
		switch {
		case errors.As(err, &w):
			t.file.withheld = append(t.file.withheld, Fault{File: t.file.name, Line: t.line(source.key), Message: source.key + ": " + w.Error(), Outside: true})
		case err != nil && source.apart() && !errors.As(err, new(misnamed)):
			t.outside(source.key, "%v", err)
		case err != nil:
			t.fault(source.key, "%v", err)
		}
		secret = s
	}
	t.keepOne(noun, keys...)
	return Secret(secret)
}

func (t *table) inlineSecret(key, secret string) (string, error) {
	if t.file.mode.Perm()&0o004 != 0 {
		t.file.warn(t.line(key), "%s: every user of this machine can read it here: chmod o= %s", key, text.ShellWord(t.file.name))
	}
	return secret, nil
}

// fileSecret reads a file that nobody else may read.
func (t *table) fileSecret(path string) (string, error) {
	return t.file.readOther(t.file.path(path), func(string) bool { return true })
}

// filePath returns the path at a key as it is to be opened.
func (t *table) filePath(key string) string {
	path := t.text(key, "")
	if path == "" {
		return ""
	}
	return t.file.path(path)
}

// readOther reads a file that the configuration names, and adds it to the
// fingerprint. secret is as for readChecked.
func (f *file) readOther(path string, secret func(string) bool) (content string, err error) {
	content, err = f.readChecked(path, secret)
	if err == nil {
		f.add(content)
	}
	return content, err
}

// readChecked reads a file that the configuration names. It is an error if others
// can change it or, where secret says so of its text, if they can read it.
func (f *file) readChecked(path string, secret func(string) bool) (content string, err error) {
	content, info, err := readWhole(path)
	if err == nil && secret(content) {
		err = checkReaders(path, info)
	}
	if err == nil {
		err = f.checkWriters(path, info)
	}
	return content, err
}

// isPublic is for files that hold no secret.
func isPublic(string) bool { return false }

// readWhole returns the text and the mode of a regular file. Its errors name the
// file.
func readWhole(path string) (content string, info fs.FileInfo, err error) {
	// Without O_NONBLOCK, a pipe would be waited for before it is refused.
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, reason(path, err)
	}
	defer r.Close()
	info, err = r.Stat()
	if err != nil {
		return "", nil, reason(path, err)
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s is not a file", path)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return "", nil, reason(path, err)
	}
	if content, err = text.FromFile(string(b)); err != nil {
		return "", nil, fmt.Errorf("%s: the file %w", path, err)
	}
	return content, info, nil
}

// A withheld secret is for the daemon alone, and this says why it is not here.
// The person who asks for a link, or checks the file, can do without.
type withheld string

func (w withheld) Error() string { return string(w) }

// misnamed is said of a source that cannot be the name of anything.
type misnamed string

func (m misnamed) Error() string { return string(m) }

var variableName = regexp.MustCompile(`^[A-Za-z_][0-9A-Za-z_]*$`)

// envSecret does not show what is no name: it may be the secret.
func envSecret(name string) (string, error) {
	if !variableName.MatchString(name) {
		return "", misnamed("must be the name of an environment variable, such as GOOGLE_SECRET")
	}
	secret, ok := os.LookupEnv(name)
	if !ok {
		return "", withheld(fmt.Sprintf("the environment variable %s is not set", name))
	}
	return secret, nil
}

func credentialSecret(name string) (string, error) {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	remedy := fmt.Sprintf("the unit needs LoadCredential=%s:/path/of/the/secret", name)
	switch {
	case filepath.Base(name) != name || !filepath.IsLocal(name):
		return "", misnamed("must be the name of a systemd credential, not a path")
	case folder == "":
		return "", withheld("systemd has given no credentials; " + remedy)
	}
	secret, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return "", errors.New("systemd has given no such credential; " + remedy)
	}
	return string(secret), nil
}

// checkSecret says what is wrong with a secret without showing it.
func checkSecret(s string) error {
	switch err := oneLine(s); {
	case isElided(s):
		return errSampleSecret
	case strings.HasPrefix(s, "{"):
		return errors.New("the secret is JSON; keep only the value of its client_secret")
	case err != nil:
		return fmt.Errorf("the secret %w", err)
	}
	return nil
}

// reason says why path cannot be read.
func reason(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
