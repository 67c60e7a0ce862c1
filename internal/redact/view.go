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

// maxDepth is the maximum number of nested encodings that are decoded.
const maxDepth = 4

// A view is a text after zero or more decodings. It omits white space and invisible
// characters: a secret may be split over lines.
type view []octet

// An octet is one octet of a view, with the range of the original text that it
// stands for.
type octet struct {
	b        byte
	from, to int32
}

// plain returns the view of a text without decoding.
func plain(text string) view {
	v := make(view, 0, len(text))
	for i := range len(text) {
		v = v.with(text[i], int32(i), int32(i+1))
	}
	return v.visible()
}

// visible returns v without invisible characters beyond ASCII, such as a soft
// hyphen.
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

// with appends an octet unless it is white space or a control character.
func (v view) with(b byte, from, to int32) view {
	if b <= ' ' || b == 0x7f {
		return v
	}
	return append(v, octet{b, from, to})
}

// window returns the n octets at i as one number. n is at most 8.
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

// fold returns b in lower case if it is an ASCII letter.
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

// unescaped decodes URL, JSON and HTML escapes. Other octets stay unchanged.
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

// maxEscape is the maximum length of an escape in octets: that of an HTML entity.
const maxEscape = 34

// unescape decodes the escape at the beginning of v and returns its length in
// octets. n is 0 if v does not begin with an escape.
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

// unescapePercent decodes %41 (RFC 3986 section 2.1) and %u0041 of JavaScript.
func unescapePercent(s string) (string, int) {
	if len(s) > 1 && fold(s[1]) == 'u' {
		return hexRune(s, 2, 4)
	}
	return hexOctet(s, 1)
}

// unescapeBackslash decodes JSON escapes (RFC 8259 section 7) and \x41 of Go and C.
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

// unescapeUTF16 decodes \u0041 and surrogate pairs.
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

// unescapeEntity decodes numeric HTML entities, &#65; and &#x41;, with or without
// the semicolon, and named ones with it.
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

// hexOctet decodes two hexadecimal digits at i. It returns the index after them, or
// 0.
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

// hexRune decodes n hexadecimal digits at i. It returns the index after them, or 0.
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

// An encoding maps digits to groups of bits.
type encoding struct {
	bits   int       // for each digit
	values [256]int8 // by digit; -1 for other octets
}

// The encodings of RFC 4648. inBase64 accepts both alphabets of base64: that of
// section 5 has "-" and "_" instead of "+" and "/".
var (
	inBase64 = newEncoding(6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_")
	inHex    = newEncoding(4, "0123456789abcdef", "ABCDEF")
)

// newEncoding returns the encoding with the given digits. others are alternatives
// for the last digits.
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

// isDigit reports whether b is a base64 digit or padding.
func isDigit(b byte) bool { return inBase64.values[b] >= 0 || b == '=' }

// minRun is the minimum number of consecutive digits that are decoded. Fewer digits
// cannot encode a secret.
const minRun = 6

// digits decodes each run of digits in v. It skips the first digits of each run,
// because it is not known where groups of digits begin.
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

// decode appends the decoded octets of v, which consists of digits, to u.
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
			from = o.from // the remaining bits begin the next octet
		}
	}
	return u
}
