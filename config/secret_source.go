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

// A source is a key that contains a secret, or names its location.
type source struct {
	key  string
	read func(string) (string, error)
}

// external reports whether the secret is outside the configuration file. Inside it,
// TOML removes the quotes.
func (s source) external() bool {
	return strings.HasSuffix(s.key, "_file") || strings.HasSuffix(s.key, "_env") || strings.HasSuffix(s.key, "_credential")
}

// isQuoted reports whether s is in quotes of any kind.
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

// secretKeys returns the four keys that can give the secret key.
func secretKeys(key string) []string {
	return []string{key, key + "_file", key + "_env", key + "_credential"}
}

// secretSources returns the sources of the secret key.
func (t *table) secretSources(key string) []source {
	keys := secretKeys(key)
	return []source{
		{keys[0], func(secret string) (string, error) { return t.inlineSecret(key, secret) }},
		{keys[1], t.secretFile},
		{keys[2], envSecret},
		{keys[3], credentialSecret},
	}
}

// present returns those of keys that the table has, in the order of the file.
func (t *table) present(keys ...string) []string {
	found := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !t.has(key) })
	slices.SortStableFunc(found, func(a, b string) int { return t.line(a) - t.line(b) })
	return found
}

// atMostOne reports every present key after the first. noun names what the keys give.
func (t *table) atMostOne(noun string, keys ...string) {
	found := t.present(keys...)
	for i := 1; i < len(found); i++ {
		t.fault(found[i], "the %s is already set by %s in line %d; remove one of them", noun, found[0], t.line(found[0]))
	}
}

// secret reads a secret from at most one of sources, and returns "" if no source is
// present. It checks the secret with check. noun names the secret in faults.
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
		if err == nil && source.external() {
			s, err = text.FromFile(s)
		}
		s = strings.TrimRight(s, "\r\n")
		if err == nil && source.external() && isQuoted(s) {
			err = errors.New("the value is in quotes, which would be part of it; remove the quotes")
		}
		if err == nil {
			err = check(s)
		}
		var u unavailable
		switch {
		case errors.As(err, &u):
			t.file.unavailable = append(t.file.unavailable, Fault{File: t.file.name, Line: t.line(source.key), Message: source.key + ": " + u.Error(), External: true})
		case err != nil && source.external() && !errors.As(err, new(invalidName)):
			t.externalFault(source.key, "%v", err)
		case err != nil:
			t.fault(source.key, "%v", err)
		}
		secret = s
	}
	t.atMostOne(noun, keys...)
	return Secret(secret)
}

func (t *table) inlineSecret(key, secret string) (string, error) {
	if t.file.mode.Perm()&0o004 != 0 {
		t.file.warn(t.line(key), "%s: every local user can read it in this file: chmod o= %s", key, text.ShellWord(t.file.name))
	}
	return secret, nil
}

// secretFile reads a file that other users must not be able to read.
func (t *table) secretFile(path string) (string, error) {
	return t.file.readFile(t.file.path(path), func(string) bool { return true })
}

// filePath returns the path at key, resolved for opening, or "" if key is absent.
func (t *table) filePath(key string) string {
	path := t.text(key, "")
	if path == "" {
		return ""
	}
	return t.file.path(path)
}

// readFile reads a file named by the configuration, and adds it to the fingerprint. For
// secret, see readChecked.
func (f *file) readFile(path string, secret func(string) bool) (content string, err error) {
	content, err = f.readChecked(path, secret)
	if err == nil {
		f.addToFingerprint(content)
	}
	return content, err
}

// readChecked reads a file named by the configuration. It returns an error if other
// users can change the file. If secret returns true for the content, it also returns an
// error if other users can read the file.
func (f *file) readChecked(path string, secret func(string) bool) (content string, err error) {
	content, info, err := readRegular(path)
	if err == nil && secret(content) {
		err = checkReaders(path, info)
	}
	if err == nil {
		err = f.checkWriters(path, info)
	}
	return content, err
}

// notSecret is the secret function for files that hold no secret.
func notSecret(string) bool { return false }

// readRegular returns the content and the mode of a regular file. Its errors name the
// file.
func readRegular(path string) (content string, info fs.FileInfo, err error) {
	// Without O_NONBLOCK, opening a named pipe would block.
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, pathError(path, err)
	}
	defer r.Close()
	info, err = r.Stat()
	if err != nil {
		return "", nil, pathError(path, err)
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return "", nil, pathError(path, err)
	}
	if content, err = text.FromFile(string(b)); err != nil {
		return "", nil, fmt.Errorf("%s: the file %w", path, err)
	}
	return content, info, nil
}

// unavailable is the error for a secret that only the daemon receives, from systemd or
// its environment. Commands such as check and authorize work without it.
type unavailable string

func (u unavailable) Error() string { return string(u) }

// invalidName is the error for a malformed name of a source, which is a fault of the
// configuration itself.
type invalidName string

func (n invalidName) Error() string { return string(n) }

var variableName = regexp.MustCompile(`^[A-Za-z_][0-9A-Za-z_]*$`)

// envSecret reads an environment variable. Its error does not show a malformed name,
// which may be the secret itself.
func envSecret(name string) (string, error) {
	if !variableName.MatchString(name) {
		return "", invalidName("must be the name of an environment variable, such as GOOGLE_SECRET")
	}
	secret, ok := os.LookupEnv(name)
	if !ok {
		return "", unavailable(fmt.Sprintf("the environment variable %s is not set", name))
	}
	return secret, nil
}

// credentialSecret reads a systemd credential (systemd.exec(5)).
func credentialSecret(name string) (string, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	hint := fmt.Sprintf("add LoadCredential=%s:/path/of/the/secret to the unit", name)
	switch {
	case filepath.Base(name) != name || !filepath.IsLocal(name):
		return "", invalidName("must be the name of a systemd credential, not a path")
	case dir == "":
		return "", unavailable("systemd passed no credentials; " + hint)
	}
	secret, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "", errors.New("systemd passed no such credential; " + hint)
	}
	return string(secret), nil
}

// checkSecret returns an error, without the secret, if s is not a valid client secret.
func checkSecret(s string) error {
	switch err := checkLine(s); {
	case isElided(s):
		return errPlaceholderSecret
	case strings.HasPrefix(s, "{"):
		return errors.New("the secret is JSON; keep only the value of its client_secret")
	case err != nil:
		return fmt.Errorf("the secret %w", err)
	}
	return nil
}

// pathError returns err as "path: reason".
func pathError(path string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
