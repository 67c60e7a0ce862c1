package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// decode returns what toml makes of text. The check of its encoding comes
// first, for toml lets some of what is not UTF-8 pass.
func decode(text string) (map[string]any, error) {
	line := 0
	for l := range strings.Lines(text) {
		line++
		if !utf8.ValidString(l) {
			return nil, toml.ParseError{Message: "the file must be UTF-8 text", Position: toml.Position{Line: line}}
		}
	}
	var values map[string]any
	_, err := toml.Decode(text, &values)
	return values, err
}

// notTOML makes a fault of an error of decode.
func (f *file) notTOML(text string, err error) Fault {
	var at toml.ParseError
	if !errors.As(err, &at) {
		return Fault{File: f.name, Message: err.Error()}
	}
	why := strings.TrimSuffix(at.Message, ".")
	twice := definedTwice(text, at)
	switch {
	case twice != "":
		why = twice
	case strings.HasSuffix(at.LastKey, "client_secret"), strings.HasSuffix(at.LastKey, "password_hash"), strings.HasSuffix(at.LastKey, "upstream_password"), strings.HasSuffix(at.LastKey, "proxy"):
		// toml's own words quote some of the value.
		why = "the value of this key is not a string: write it 'in quotes'"
	case strings.HasSuffix(at.LastKey, "socket_mode"):
		why += `; modes are in quotes: "0660"`
	case strings.Contains(why, "got '@'"):
		why += `; a name with @ or . in it is written in quotes: [account."alice@example.com"]`
	}
	return Fault{File: f.name, Line: max(1, at.Position.Line), Message: "not valid TOML: " + why}
}

// twice is what toml says of a key or a table that is there a second time.
var twice = regexp.MustCompile(`^Key '(.+)' (?:has already been defined|was already created)`)

// definedTwice says which key is defined a second time and where the first is. It is
// empty for any other error.
func definedTwice(text string, err toml.ParseError) string {
	key := twice.FindStringSubmatch(err.Message)
	if key == nil {
		return ""
	}
	lines := strings.SplitAfter(text, "\n")
	above := strings.Join(lines[:min(max(err.Position.Line-1, 0), len(lines))], "")
	path := (&scanner{text: key[1] + "="}).key('=')
	if first := locate(above).find(path).at(); first > 0 {
		return fmt.Sprintf("%s is already defined in line %d: keep one of the two", key[1], first)
	}
	return key[1] + " is defined twice in this line: keep one of the two"
}
