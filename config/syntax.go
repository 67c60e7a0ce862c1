package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// decode parses text as TOML. It checks the encoding first, because the toml library
// accepts some invalid UTF-8.
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

// syntaxFault converts an error of decode to a fault.
func (f *file) syntaxFault(text string, err error) Fault {
	var parseErr toml.ParseError
	if !errors.As(err, &parseErr) {
		return Fault{File: f.name, Message: err.Error()}
	}
	key, reason := parseErr.LastKey, strings.TrimSuffix(parseErr.Message, ".")
	duplicate := definedTwice(text, parseErr)
	switch {
	case duplicate != "":
		reason = duplicate
	case strings.HasSuffix(key, "client_secret"), strings.HasSuffix(key, "password_hash"), strings.HasSuffix(key, "upstream_password"), strings.HasSuffix(key, "proxy"):
		// The message of the toml library would show a part of the secret.
		reason = "the value of this key is not a string: write it 'in quotes'"
	case strings.HasSuffix(key, "socket_mode"):
		reason += `; write modes in quotes: "0660"`
	case strings.Contains(reason, "got '@'"):
		reason += `; write a name with @ or . in quotes: [account."alice@example.com"]`
	}
	return Fault{File: f.name, Line: max(1, parseErr.Position.Line), Message: "not valid TOML: " + reason}
}

// duplicateKey matches the toml library's message for a key or table defined twice.
var duplicateKey = regexp.MustCompile(`^Key '(.+)' (?:has already been defined|was already created)`)

// definedTwice returns a message with the line of the first definition if err reports a
// key or table defined twice, and "" for any other error.
func definedTwice(text string, err toml.ParseError) string {
	key := duplicateKey.FindStringSubmatch(err.Message)
	if key == nil {
		return ""
	}
	lines := strings.SplitAfter(text, "\n")
	above := strings.Join(lines[:min(max(err.Position.Line-1, 0), len(lines))], "")
	path := (&scanner{text: key[1] + "="}).key('=')
	if first := indexPositions(above).find(path).line(); first > 0 {
		return fmt.Sprintf("%s is already defined in line %d: keep one of the two", key[1], first)
	}
	return key[1] + " is defined twice in this line: keep one of the two"
}
