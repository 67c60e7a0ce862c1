package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A source is a key of a table that says where a secret is.
type source struct {
	key  string
	read func(string) (string, error)
}

// clientSecret reads the one of its keys that gives a provider's client
// secret, or none of them.
func (t *table) clientSecret() Secret {
	return t.secret("secret", checkSecret,
		source{"client_secret", t.inlineSecret},
		source{"client_secret_file", t.fileSecret},
		source{"client_secret_env", envSecret},
		source{"client_secret_credential", credentialSecret},
	)
}

// secret reads what one of the sources gives, or none of them. The noun is what
// it is called where two do.
func (t *table) secret(noun string, check func(string) error, sources ...source) Secret {
	var given []string
	var secret string
	for _, source := range sources {
		arg := t.text(source.key, "")
		if t.has(source.key) {
			given = append(given, source.key)
		}
		if arg == "" {
			continue
		}
		s, err := source.read(arg)
		if err == nil {
			s = strings.TrimRight(s, "\r\n")
			err = check(s)
		}
		var w withheld
		switch {
		case errors.As(err, &w):
			t.file.withheld = append(t.file.withheld, Fault{t.file.name, t.line(source.key), source.key + ": " + w.Error()})
		case err != nil:
			t.fault(source.key, "%v", err)
		}
		secret = s
	}
	slices.SortStableFunc(given, func(a, b string) int { return t.line(a) - t.line(b) })
	for i := 1; i < len(given); i++ {
		t.fault(given[i], "there is a %s already, by %s in line %d; keep one of the two", noun, given[0], t.line(given[0]))
	}
	return Secret(secret)
}

func (t *table) inlineSecret(secret string) (string, error) {
	if public(t.file.mode) {
		t.file.warn(t.line("client_secret"), "client_secret: everybody on this machine can read it here; chmod o= %s", t.file.name)
	}
	return secret, nil
}

func (t *table) fileSecret(path string) (string, error) {
	path = t.file.path(path)
	info, err := os.Stat(path)
	if err != nil {
		return "", reason(path, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path)
	}
	if public(info.Mode()) {
		return "", fmt.Errorf("%s: everybody on this machine can read it; chmod o= %[1]s", path)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return "", reason(path, err)
	}
	return string(secret), nil
}

func envSecret(name string) (string, error) {
	secret, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return secret, nil
}

// A withheld credential, known by its name, is for the unit alone. The person who
// asks for a link, or checks the file, is no part of that.
type withheld string

func (w withheld) Error() string {
	return fmt.Sprintf("systemd has given no credentials; the unit needs LoadCredential=%s:/path/of/the/secret", string(w))
}

func credentialSecret(name string) (string, error) {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	switch {
	case filepath.Base(name) != name || !filepath.IsLocal(name):
		return "", errors.New("must be the name of a systemd credential, not a path")
	case folder == "":
		return "", withheld(name)
	}
	secret, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return "", fmt.Errorf("systemd has given no such credential; the unit needs LoadCredential=%s:/path/of/the/secret", name)
	}
	return string(secret), nil
}

// checkSecret says what is wrong with a secret without showing it.
func checkSecret(s string) error {
	switch err := oneLine(s); {
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
