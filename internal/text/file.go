package text

import (
	"errors"
	"strings"
)

// ErrUTF16 is the error of FromFile for text in UTF-16.
var ErrUTF16 = errors.New("is UTF-16 text: save it as UTF-8, as by iconv -f UTF-16 -t UTF-8 OLD >NEW")

// FromFile returns the text of a file as a program expects it, whatever editor has
// saved it: without a byte order mark. Text in UTF-16 is an error. All else, such as
// binary data, is returned as it is.
func FromFile(s string) (string, error) {
	if isUTF16(s) {
		return "", ErrUTF16
	}
	return strings.TrimPrefix(s, "\ufeff"), nil
}

// isUTF16 reports whether s begins with the byte order mark of UTF-16, or holds
// ASCII in UTF-16 without one: each other byte is zero.
func isUTF16(s string) bool {
	if strings.HasPrefix(s, "\xff\xfe") || strings.HasPrefix(s, "\xfe\xff") {
		return true
	}
	zeros := [2]int{}
	for i := range len(s) {
		if s[i] == 0 {
			zeros[i%2]++
		}
	}
	pairs := len(s) / 2
	return len(s)%2 == 0 && pairs > 1 && (zeros == [2]int{0, pairs} || zeros == [2]int{pairs, 0})
}
