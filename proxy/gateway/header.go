package gateway

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
)

// A field is a header field with its place in the header section.
type field struct {
	name       string // in lower case
	start, end int    // of the whole field with its line end
	value      int    // where the value begins, behind the colon

	// sure is true if every parser finds the field. It is false behind a line that is not
	// well-formed, where some parsers end the header section.
	sure bool
}

// body returns the value of f in header, with line breaks, without the final one.
func (f field) body(header []byte) string {
	return strings.TrimSuffix(string(header[f.value:f.end]), "\r\n")
}

// parseHeader returns the fields of a message that begins with b, and the size of the
// header section without the blank line that ends it. If the first line is no field, the
// header section is empty and the message has only a body.
func parseHeader(b []byte) (fields []field, size int) {
	sure := true
	for size < len(b) {
		line := b[size:]
		if i := bytes.Index(line, []byte("\r\n")); i >= 0 {
			line = line[:i+2]
		}
		text := bytes.TrimSuffix(line, []byte("\r\n"))
		switch {
		case len(text) == 0:
			return fields, size
		case (text[0] == ' ' || text[0] == '\t') && len(fields) > 0:
			last := &fields[len(fields)-1]
			if last.end == size {
				last.end += len(line)
			}
			sure = sure && len(bytes.TrimSpace(text)) > 0
		default:
			name, value := fieldName(text)
			if name == "" && size == 0 && !isMailbox(text) {
				return nil, 0
			}
			if name == "" {
				sure = false
				break
			}
			fields = append(fields, field{name, size, size + len(line), size + value, sure})
		}
		if bytes.ContainsAny(text, "\r\n\x00") {
			sure = false
		}
		size += len(line)
	}
	return fields, size
}

// isMailbox reports whether line begins a message in a mailbox file. Some programs leave
// that line in front of the header.
func isMailbox(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

// fieldName returns the name of the field that begins with line, in lower case, and the
// offset of its value. White space before the colon is obsolete but allowed (RFC 5322
// section 4.5.8).
func fieldName(line []byte) (name string, value int) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return "", 0
	}
	n := bytes.TrimRight(line[:colon], " \t")
	for _, c := range n {
		if c <= ' ' || c > '~' {
			return "", 0
		}
	}
	return strings.ToLower(string(n)), colon + 1
}

// loneCR is a CR within a line. Behind CR CR LF, no field is hidden.
var loneCR = regexp.MustCompile(`\r[^\r\n]`)

// checkHeader returns an error if a program could find recipients in head, the beginning of
// a message, that parseHeader does not. size is that of the header section.
func checkHeader(head []byte, size int) error {
	if loneCR.Match(head[:size]) {
		return errors.New("a line of the header contains CR without LF, behind which another field may be hidden")
	}
	if size > 0 || bytes.HasPrefix(head, []byte("\r\n")) {
		return nil
	}
	lines, _, _ := bytes.Cut(head, []byte("\r\n\r\n")) // of the header that was meant
	for line := range bytes.FieldsFuncSeq(lines, func(r rune) bool { return r == '\r' || r == '\n' }) {
		name, _ := fieldName(bytes.TrimLeft(line, " \t\ufeff"))
		if slices.Contains(recipientFields, name) && bytes.ContainsRune(lines, '@') {
			return errors.New("the first line is no header field, so all recipients would see the header, and Bcc; the message must begin with a field such as From")
		}
	}
	return nil
}
