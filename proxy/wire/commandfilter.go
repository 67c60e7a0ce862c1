package wire

import (
	"bytes"
	"slices"
)

// A Verdict is what a CommandFilter does with a line.
type Verdict int

// The verdicts on a line.
const (
	Undecided Verdict = iota // more of it must be seen
	Forward                  // it is forwarded as it is
	Replace                  // another line is forwarded in its place
)

// maxHead is how much of a line a CommandFilter holds back at most.
const maxHead = 128

// A CommandFilter looks at the beginning of each line of a stream of commands. It
// holds that beginning back until Decide has decided, which is a few octets, and
// forwards the rest as it comes.
type CommandFilter struct {
	// Decide is called with the beginning of a line, without its line ending, again
	// whenever there is more of it, until it decides. It must decide if enough is
	// true: there is no more of the line, or no more is held back. It may return the
	// line that is forwarded instead, without a line ending.
	Decide func(line []byte, enough bool) (v Verdict, instead string)

	head    []byte // what is held back
	verdict Verdict
}

// Next takes octets off the beginning of p, which must not be empty: as many as
// belong to the current line, and to no other. It returns how many it took and
// what is forwarded in their place, which is valid until the next call. over
// reports whether they end the line.
func (f *CommandFilter) Next(p []byte) (n int, forward []byte, over bool) {
	n = bytes.IndexByte(p, '\n') + 1
	if over = n > 0; !over {
		n = len(p)
	}
	switch f.verdict {
	case Forward:
		forward = p[:n]
	case Undecided:
		forward = f.decide(p[:n], over)
	}
	if over {
		f.verdict = Undecided
	}
	return n, forward, over
}

func (f *CommandFilter) decide(part []byte, over bool) (forward []byte) {
	line := part
	if len(f.head) > 0 {
		line = slices.Concat(f.head, part)
		f.head = nil
	}
	var instead string
	f.verdict, instead = f.Decide(bytes.TrimRight(line, "\r\n"), over || len(line) >= maxHead)
	switch f.verdict {
	case Forward:
		return line
	case Replace:
		return []byte(instead + "\r\n")
	}
	f.head = slices.Clone(line)
	return nil
}

// Held returns what is held back, and forgets it.
func (f *CommandFilter) Held() []byte {
	held := f.head
	f.head = nil
	return held
}

// Edit returns p as next edits it: next takes octets off the beginning of what is
// left of p and returns what is forwarded in their place. Where nothing changes,
// the result is p itself.
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
