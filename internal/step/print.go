package step

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is how long the lines are that Print writes, where their words allow.
const width = 80

// Print writes s as text: a line, and below it what does not fit there.
func Print(w io.Writer, s Step) error {
	line := fmt.Sprintf("%-8s%-44s", s.Outcome, s.Name)
	if s.Outcome != Skipped {
		line += fmt.Sprintf("%6.2f s", s.Seconds)
	}
	detail := s.Detail
	if whole := fmt.Sprintf("%-60s   %s", line, detail); utf8.RuneCountInString(whole) <= width {
		line, detail = whole, ""
	}
	var b strings.Builder
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	wrap(&b, "", detail)
	wrap(&b, "cause:  ", s.Cause)
	wrap(&b, "remedy: ", s.Remedy)
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap writes text in indented lines, the first of which begins with label.
func wrap(b *strings.Builder, label, text string) {
	const indent = "        "
	line := indent + label
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case utf8.RuneCountInString(line+" "+word) > width:
			b.WriteString(line + "\n")
			line = indent + strings.Repeat(" ", len(label))
		default:
			line += " "
		}
		line += word
	}
	if text != "" {
		b.WriteString(line + "\n")
	}
}
