package text

import (
	"regexp"
	"strings"
)

// plainWord matches a word that a POSIX shell does not change.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// ShellWord returns word in single quotes for a POSIX shell, or word itself if it
// needs no quotes.
func ShellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
