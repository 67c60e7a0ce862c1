package config

import (
	"net/url"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Settings returns the configuration at path as TOML, for a bug report. It omits comments,
// keys that have their default, and sections that have no other keys. It shows "(secret)"
// instead of secrets. It returns the errors of Load.
func Settings(path string) (string, error) {
	f := &file{name: path, now: time.Now()}
	_, values, err := loadFile(f)
	if err != nil {
		return "", err
	}
	for _, remove := range f.defaults {
		remove()
	}
	for _, name := range []string{"limits", "log", "store"} { // without keys, others still have a meaning
		if table, ok := values[name].(map[string]any); ok && len(table) == 0 {
			delete(values, name)
		}
	}
	mask(values)
	var b strings.Builder
	e := toml.NewEncoder(&b)
	e.Indent = ""
	err = e.Encode(values)
	return b.String(), err
}

// mask replaces the secrets in a table and in those below it.
func mask(values map[string]any) {
	for key, v := range values {
		values[key] = maskValue(key, v)
	}
}

// maskValue returns the value of key with its secrets replaced.
func maskValue(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		mask(v)
	case []map[string]any:
		for _, t := range v {
			mask(t)
		}
	case []any: // of strings, or of inline tables
		for i := range v {
			if key == "token_command" && i > 0 { // an argument may be a secret
				v[i] = redacted
			} else {
				v[i] = maskValue(key, v[i])
			}
		}
	case string:
		return masked(key, v)
	}
	return v
}

// masked returns a string without its secrets.
func masked(key, value string) string {
	switch key {
	case "client_secret", "upstream_password":
		return redacted
	case "password_hash": // show the type of the hash
		if parts := strings.SplitN(value, "$", 3); len(parts) == 3 && len(parts[1]) < 16 {
			return parts[0] + "$" + parts[1] + "$" + redacted
		}
		return redacted
	case "proxy":
		u, err := url.Parse(value)
		if err != nil {
			return redacted
		}
		if u.User != nil {
			return u.Scheme + "://" + redacted + "@" + u.Host
		}
	}
	return value
}
