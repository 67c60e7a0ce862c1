package text

import (
	"errors"
	"strings"
)

// ErrUTF16 is the error that FromFile returns for UTF-16 text.
var ErrUTF16 = errors.New("is UTF-16 text; convert it to UTF-8: iconv -f UTF-16 -t UTF-8 OLD >NEW")

// FromFile returns s, the content of a file, without a UTF-8 byte order mark, which
// some editors write. It returns ErrUTF16 if s is UTF-16 text. It returns any other
// content, such as binary data, unchanged.
func FromFile(s string) (string, error) {
	if isUTF16(s) {
		return "", ErrUTF16
	}
	return strings.TrimPrefix(s, "\ufeff"), nil
}

// isUTF16 reports whether s begins with a UTF-16 byte order mark, or is ASCII text
// encoded as UTF-16 without one: every other byte is zero.
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
