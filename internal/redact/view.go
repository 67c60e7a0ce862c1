package redact

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how many encodings are undone, one within another.
const maxDepth = 4

// A view is a text as it reads when an encoding is undone. What cannot be seen is
// left out: a secret may be split over lines.
type view []octet

// An octet is one of a view, with the part of the original text that stands for it.
type octet struct {
	b        byte
	from, to int32
}

// plain is the view of a text as it is.
func plain(text string) view {
	v := make(view, 0, len(text))
	for i := range len(text) {
		v = v.with(text[i], int32(i), int32(i+1))
	}
	return v.visible()
}

// visible is v without characters beyond ASCII that cannot be seen, such as those
// that only allow a line to be broken.
func (v view) visible() view {
	if !slices.ContainsFunc(v, func(o octet) bool { return o.b >= utf8.RuneSelf }) {
		return v
	}
	u := make(view, 0, len(v))
	for len(v) > 0 {
		var head [utf8.UTFMax]byte
		n := min(len(v), len(head))
		for i := range n {
			head[i] = v[i].b
		}
		r, size := utf8.DecodeRune(head[:n])
		if r == utf8.RuneError || unicode.IsPrint(r) {
			u = append(u, v[:size]...)
		}
		v = v[size:]
	}
	return u
}

// with appends an octet, unless it is left out.
func (v view) with(b byte, from, to int32) view {
	if b <= ' ' || b == 0x7f {
		return v
	}
	return append(v, octet{b, from, to})
}

// window returns n octets from i on in one number, n being 8 at most.
func (v view) window(i, n int) (w uint64) {
	for _, o := range v[i : i+n] {
		w = w<<8 | uint64(fold(o.b))
	}
	return w
}

func (v view) folded() string {
	b := make([]byte, len(v))
	for i, o := range v {
		b[i] = fold(o.b)
	}
	return string(b)
}

// fold makes a letter of ASCII a small one.
func fold(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

func (v view) without(b byte) (u view) {
	for _, o := range v {
		if o.b != b {
			u = append(u, o)
		}
	}
	return u
}

// unescaped undoes the escapes of URLs, JSON and HTML. Octets that are part of none
// stay as they are.
func (v view) unescaped() (u view, changed bool) {
	if !slices.ContainsFunc(v, func(o octet) bool { return o.b == '%' || o.b == '\\' || o.b == '&' }) {
		return nil, false
	}
	u = make(view, 0, len(v))
	for i := 0; i < len(v); {
		text, n := unescape(v[i:])
		if n == 0 {
			u = append(u, v[i])
			i++
			continue
		}
		for j := range len(text) {
			u = u.with(text[j], v[i].from, v[i+n-1].to)
		}
		changed = true
		i += n
	}
	return u.visible(), changed
}

// maxEscape is the longest escape, in octets: an entity of HTML.
const maxEscape = 34

// unescape returns what the escape at the beginning of v stands for, and how many
// octets it has; that is 0 if there is none.
func unescape(v view) (text string, n int) {
	switch v[0].b {
	case '%', '\\', '&':
	default:
		return "", 0
	}
	raw := make([]byte, min(len(v), maxEscape))
	for i := range raw {
		raw[i] = v[i].b
	}
	switch s := string(raw); s[0] {
	case '%':
		return unescapePercent(s)
	case '\\':
		return unescapeBackslash(s)
	default:
		return unescapeEntity(s)
	}
}

// unescapePercent undoes %41 (RFC 3986 section 2.1), and %u0041 of JavaScript.
func unescapePercent(s string) (string, int) {
	if len(s) > 1 && fold(s[1]) == 'u' {
		return hexRune(s, 2, 4)
	}
	return hexOctet(s, 1)
}

// unescapeBackslash undoes the escapes of JSON (RFC 8259 section 7), and the \x41
// of Go and C.
func unescapeBackslash(s string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	switch s[1] {
	case 'u':
		return unescapeUTF16(s)
	case 'x':
		return hexOctet(s, 2)
	case 'b', 'f', 'n', 'r', 't':
		return "", 2 // control characters
	case '"', '\\', '/', '\'':
		return s[1:2], 2
	}
	return "", 0
}

// unescapeUTF16 undoes \u0041, of which two stand for a character beyond 16 bits.
func unescapeUTF16(s string) (string, int) {
	text, n := hexRune(s, 2, 4)
	if n == 0 || !strings.HasPrefix(s[n:], `\u`) {
		return text, n
	}
	high, _ := strconv.ParseUint(s[2:6], 16, 16)
	if low, err := strconv.ParseUint(s[n+2:min(len(s), n+6)], 16, 16); err == nil {
		if r := utf16.DecodeRune(rune(high), rune(low)); r != utf8.RuneError {
			return string(r), n + 6
		}
	}
	return text, n
}

// unescapeEntity undoes &#65; and &#x41; with or without the semicolon, and the
// names of HTML with it.
func unescapeEntity(s string) (string, int) {
	if !strings.HasPrefix(s, "&#") {
		end := strings.IndexByte(s, ';') + 1
		if text := html.UnescapeString(s[:end]); text != s[:end] {
			return text, end
		}
		return "", 0
	}
	base, digits := 10, s[2:]
	if digits != "" && fold(digits[0]) == 'x' {
		base, digits = 16, digits[1:]
	}
	n := 0
	for n < len(digits) && uint8(inHex.values[digits[n]]) < uint8(base) { // -1 is 255
		n++
	}
	code, err := strconv.ParseUint(digits[:n], base, 31)
	if err != nil {
		return "", 0
	}
	n += len(s) - len(digits)
	if n < len(s) && s[n] == ';' {
		n++
	}
	return string(rune(code)), n
}

// hexOctet reads two hexadecimal digits at i.
func hexOctet(s string, i int) (string, int) {
	if len(s) < i+2 {
		return "", 0
	}
	b, err := strconv.ParseUint(s[i:i+2], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(b)}), i + 2
}

// hexRune reads n hexadecimal digits at i.
func hexRune(s string, i, n int) (string, int) {
	if len(s) < i+n {
		return "", 0
	}
	r, err := strconv.ParseUint(s[i:i+n], 16, 31)
	if err != nil {
		return "", 0
	}
	return string(rune(r)), i + n
}

// An encoding is one by digits.
type encoding struct {
	bits   int       // of a digit
	values [256]int8 // of digits; -1 is none
}

// The encodings of RFC 4648. Both alphabets of base64 are taken as one: that of
// section 5 has - and _ for + and /.
var (
	inBase64 = newEncoding(6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_")
	inHex    = newEncoding(4, "0123456789abcdef", "ABCDEF")
)

// newEncoding returns the encoding with these digits; others stand for the last of
// them.
func newEncoding(bits int, digits, others string) encoding {
	e := encoding{bits: bits}
	for b := range e.values {
		e.values[b] = -1
	}
	for i := range len(digits) {
		e.values[digits[i]] = int8(i)
	}
	for i := range len(others) {
		e.values[others[i]] = int8(len(digits) - len(others) + i)
	}
	return e
}

// isDigit reports whether b is a digit of base64, or stands for one that is missing.
func isDigit(b byte) bool { return inBase64.values[b] >= 0 || b == '=' }

// minRun is how many digits in a row are decoded: fewer hold no secret.
const minRun = 6

// digits decodes each run of digits in v, without the first few of it: it is not
// known where groups of digits begin.
func (v view) digits(e *encoding, skip int) (u view) {
	for len(v) > 0 {
		n := 0
		for n < len(v) && e.values[v[n].b] >= 0 {
			n++
		}
		if n >= minRun {
			if u == nil {
				u = make(view, 0, len(v)*e.bits/8)
			}
			u = v[skip:n].decode(e, u)
		}
		v = v[min(n+1, len(v)):]
	}
	return u
}

// decode appends to u what the octets of v, which are digits, decode to.
func (v view) decode(e *encoding, u view) view {
	value, have, from := 0, 0, int32(0)
	for _, o := range v {
		if have == 0 {
			from = o.from
		}
		value, have = value<<e.bits|int(e.values[o.b]), have+e.bits
		if have >= 8 {
			have -= 8
			u = u.with(byte(value>>have), from, o.to)
			value &= 1<<have - 1
			from = o.from // the rest of this digit begins the next octet
		}
	}
	return u
}
