package wire

import (
	"bytes"
	"slices"
)

// A Verdict is the decision of a CommandFilter about one line.
type Verdict int

// The verdicts of CommandFilter.Decide.
const (
	Undecided Verdict = iota // more of the line is needed
	Forward                  // forward the line unchanged
	Replace                  // forward another line instead
)

// maxHeld is the number of octets of a line after which Decide must decide.
const maxHeld = 128

// A CommandFilter decides line by line whether a stream of commands is forwarded
// unchanged. It holds the beginning of a line back until Decide returns a verdict,
// which takes a few octets, and then passes on the rest of the line as it arrives.
// It is not safe for concurrent use.
type CommandFilter struct {
	// Decide returns the verdict on a line. line is its beginning, without line
	// ending. Decide is called again with more of the line until its verdict is not
	// Undecided. If final is true, it must decide: the line is complete, or the
	// filter holds no more of it. With Replace it returns the replacement line,
	// without line ending.
	Decide func(line []byte, final bool) (v Verdict, replacement string)

	held    []byte  // the beginning of the current line, until the verdict
	verdict Verdict // on the current line
}

// Next consumes octets of the current line from the beginning of p, which must not
// be empty. It returns the number of octets consumed and the octets to forward in
// their place, which are valid until the next call. lineEnd reports whether the line
// ends with them.
func (f *CommandFilter) Next(p []byte) (n int, forward []byte, lineEnd bool) {
	n = bytes.IndexByte(p, '\n') + 1
	if lineEnd = n > 0; !lineEnd {
		n = len(p)
	}
	switch f.verdict {
	case Forward:
		forward = p[:n]
	case Undecided:
		forward = f.decide(p[:n], lineEnd)
	}
	if lineEnd {
		f.verdict = Undecided
	}
	return n, forward, lineEnd
}

func (f *CommandFilter) decide(part []byte, lineEnd bool) (forward []byte) {
	line := part
	if len(f.held) > 0 {
		line = slices.Concat(f.held, part)
		f.held = nil
	}
	var replacement string
	f.verdict, replacement = f.Decide(bytes.TrimRight(line, "\r\n"), lineEnd || len(line) >= maxHeld)
	switch f.verdict {
	case Forward:
		return line
	case Replace:
		return []byte(replacement + "\r\n")
	}
	f.held = slices.Clone(line)
	return nil
}

// Held returns the octets held back and forgets them.
func (f *CommandFilter) Held() []byte {
	held := f.held
	f.held = nil
	return held
}

// Edit returns p as edited by next. next consumes octets from the beginning of the
// rest of p and returns the octets to forward in their place. If nothing changes,
// Edit returns p itself.
func Edit(p []byte, next func(p []byte) (n int, forward []byte)) []byte {
	var edited []byte
	changed := false
	for done := 0; done < len(p); {
		n, forward := next(p[done:])
		if !changed && !bytes.Equal(forward, p[done:done+n]) {
			changed = true
			edited = slices.Clone(p[:done])
		}
		if changed {
			edited = append(edited, forward...)
		}
		done += n
	}
	if changed {
		return edited
	}
	return p
}
