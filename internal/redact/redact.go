// Package redact hides secrets in text that a peer sent: an OAuth endpoint, a mail
// server, an outbound proxy, a helper program. Peers repeat what they were sent, in
// whole or in part, as it was or encoded.
package redact

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Hidden stands in the place of what was hidden.
const Hidden = "(hidden)"

const (
	// maxText bounds the text that is searched, in octets. The rest is dropped: a
	// line of a mail server has 16 KiB, and errors are shortened to much less.
	maxText = 20 << 10

	// maxOctets bounds each of the two generations of secrets. 2 MiB are the
	// tokens of some 500 accounts; their index takes up to 10 MiB.
	maxOctets = 2 << 20

	minSecret = 4   // octets; shorter secrets occur in ordinary words
	minSpaced = 8   // octets; shorter secrets are not looked for across white space
	minPieces = 16  // octets; shorter secrets are hidden as a whole only
	longer    = 128 // octets; of longer secrets every fifth window is indexed

	window = 8
	stride = 5
)

// Secrets hides the secrets that were added to it. Of a secret of 16 to 128 octets
// it hides every part of 8 octets or more, of a longer one every part of 12 or
// more, of a shorter one the whole. Secrets of less than 4 octets are not hidden.
//
// A part is found as it is, in any mix of the escapes of URLs, JSON and HTML, in
// base64 and base64url at any offset, and in hexadecimal; in combinations of these,
// up to four deep; in upper and in lower case; and with white space, line breaks
// or control characters between its octets. A secret of less than 8 octets without
// white space is found only where there is no space and no tab between its octets.
//
// The zero value holds no secret. Secrets may be used by several goroutines at the
// same time. It must not be copied.
type Secrets struct {
	mu     sync.RWMutex
	recent generation // secrets are added here
	older  generation // what recent was when it was full; dropped when that is full again
	kept   []string   // added to each generation
}

// New returns a set of these secrets.
func New(secrets ...string) *Secrets {
	s := new(Secrets)
	s.Add(secrets...)
	return s
}

// Add makes Redact hide these secrets. Memory is bounded: a secret may be forgotten
// after 2 MiB of others were added. A secret that is in use has to be added at each
// use. That costs little: the next Redact indexes it.
func (s *Secrets) Add(secrets ...string) {
	for _, secret := range secrets {
		if len(secret) >= minSecret && !s.knows(secret) {
			s.add(secret)
		}
	}
}

// Keep is Add for secrets that are never forgotten: those of the configuration,
// whose number is bounded. A peer that hands out many tokens must not be able to
// displace them.
func (s *Secrets) Keep(secrets ...string) {
	s.mu.Lock()
	s.kept = append(s.kept, secrets...)
	s.mu.Unlock()
	s.Add(secrets...)
}

func (s *Secrets) knows(secret string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.recent.known[secret]
}

func (s *Secrets) add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent.octets > 0 && s.recent.octets+len(secret) > maxOctets {
		s.older, s.recent = s.recent, generation{}
		for _, kept := range s.kept {
			if len(kept) >= minSecret {
				s.recent.add(kept)
			}
		}
	}
	s.recent.add(secret)
}

// Redact returns text with "(hidden)" in the place of secrets and of their parts.
// Line breaks stay. Of a text of more than 20 KiB it returns the beginning.
func (s *Secrets) Redact(text string) string {
	if text == "" {
		return ""
	}
	text = text[:min(len(text), maxText)]
	s.index()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.recent.octets == 0 && s.older.octets == 0 {
		return text
	}
	f := search{secrets: s, text: text}
	v := plain(text)
	f.search(v, maxDepth)
	f.searchForm(v, maxDepth)
	return f.redacted()
}

// index indexes what was added since the last time. Most secrets are never looked
// for: a daemon that starts adds those of all accounts.
func (s *Secrets) index() {
	s.mu.RLock()
	done := len(s.recent.added) == 0 && len(s.older.added) == 0
	s.mu.RUnlock()
	if !done {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.recent.index()
		s.older.index()
	}
}

// Clean reports whether text holds no secret and no part of one.
func (s *Secrets) Clean(text string) bool { return s.Redact(text) == text }

// Error returns err with a text without secrets. errors.Is and errors.As find what
// they find in err; the errors that they find have their own texts.
func (s *Secrets) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if redacted := s.Redact(text); redacted != text {
		return &redactedError{redacted, err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// A generation is an index of secrets.
type generation struct {
	known  map[string]bool
	octets int      // of all that are known
	added  []string // since the last index

	wide   bool                // some secret is not ASCII
	pieces map[uint64]struct{} // windows of 8 octets
	whole  map[uint32][]whole  // short secrets, by their first 4 octets
}

// whole is a secret that is hidden as a whole only.
type whole struct {
	octets string
	spaced bool // there may be white space between the octets
}

func (g *generation) add(secret string) {
	if g.known == nil {
		g.known = make(map[string]bool)
	}
	if !g.known[secret] { // by now
		g.known[secret] = true
		g.octets += len(secret)
		g.added = append(g.added, secret)
	}
}

func (g *generation) index() {
	if g.pieces == nil {
		g.pieces, g.whole = make(map[uint64]struct{}), make(map[uint32][]whole)
	}
	for _, secret := range g.added {
		g.indexSecret(secret)
	}
	g.added = nil
}

func (g *generation) indexSecret(secret string) {
	octets := plain(secret)
	g.wide = g.wide || strings.ContainsFunc(secret, func(r rune) bool { return r >= utf8.RuneSelf })
	switch n := len(octets); {
	case n < minSecret:
	case n < minPieces:
		key := uint32(octets.window(0, minSecret))
		g.whole[key] = append(g.whole[key], whole{octets.folded(), n >= minSpaced || n < len(secret)})
	case n <= longer:
		g.addPieces(octets, 1)
	default:
		g.addPieces(octets, stride)
	}
}

func (g *generation) addPieces(octets view, step int) {
	last := len(octets) - window
	for i := 0; i < last; i += step {
		g.pieces[octets.window(i, window)] = struct{}{}
	}
	g.pieces[octets.window(last, window)] = struct{}{}
}

// A search looks for secrets in one text.
type search struct {
	secrets *Secrets
	text    string
	hidden  []bool // by octets of the text; nil if nothing is to be hidden
	digits  int    // how many encodings by digits were undone
}

// search searches a view, and what it reads when up to depth encodings are undone.
func (f *search) search(v view, depth int) {
	if len(v) < minSecret {
		return
	}
	f.mark(v)
	if depth == 0 {
		return
	}
	if u, ok := v.unescaped(); ok {
		f.search(u, depth-1)
		f.searchForm(u, depth-1)
	}
	f.digits++
	for skip := range 4 {
		f.search(v.digits(&inBase64, skip), depth-1)
	}
	for skip := range 2 {
		f.search(v.digits(&inHex, skip), depth-1)
	}
	f.digits--
}

// searchForm searches a text that may be a form, in which + stands for a space.
func (f *search) searchForm(v view, depth int) {
	if u := v.without('+'); len(u) < len(v) {
		f.search(u, depth)
	}
}

// mark notes what is to be hidden of the text for what a view of it shows.
func (f *search) mark(v view) {
	f.secrets.recent.mark(f, v)
	f.secrets.older.mark(f, v)
}

// beyondASCII are the bits that ASCII has not. A wrong guess at an encoding reads
// as octets that have them, which need not be looked up.
const beyondASCII = 0x8080808080808080

func (g *generation) mark(f *search, v view) {
	var last uint64 // the 8 octets up to i
	for i, o := range v {
		last = last<<8 | uint64(fold(o.b))
		if i >= window-1 && (g.wide || last&beyondASCII == 0) {
			if _, found := g.pieces[last]; found {
				f.hide(v[i-window+1].from, o.to)
			}
		}
		if i >= minSecret-1 && len(g.whole) > 0 && (g.wide || uint32(last)&(beyondASCII&0xffffffff) == 0) {
			for _, w := range g.whole[uint32(last)] {
				f.markWhole(v[i-minSecret+1:], w)
			}
		}
	}
}

// markWhole notes a short secret if v begins with it. A very short one is not looked
// for across white space: "are able" does not hold the secret "real".
func (f *search) markWhole(v view, w whole) {
	n := len(w.octets)
	if len(v) < n || v[:n].folded() != w.octets {
		return
	}
	from, to := v[0].from, v[n-1].to
	if w.spaced || !strings.ContainsAny(f.text[from:to], " \t") {
		f.hide(from, to)
	}
}

// hide notes a part of the text. In base64 and hexadecimal that is a part of a word,
// of which the rest says nothing to anybody.
func (f *search) hide(from, to int32) {
	if f.hidden == nil {
		f.hidden = make([]bool, len(f.text))
	}
	if f.digits > 0 {
		for from > 0 && !f.hidden[from-1] && f.text[from-1] != '=' && isDigit(f.text[from-1]) {
			from--
		}
		for to < int32(len(f.text)) && !f.hidden[to] && isDigit(f.text[to]) {
			to++
		}
	}
	for i := from; i < to; i++ {
		f.hidden[i] = true
	}
}

// redacted is the text without what is hidden. Line breaks stay, so that lines can
// be searched together.
func (f *search) redacted() string {
	if f.hidden == nil {
		return f.text
	}
	var b strings.Builder
	hiding := false
	for i := range len(f.text) {
		switch hide := f.hidden[i] && f.text[i] != '\n'; {
		case !hide:
			b.WriteByte(f.text[i])
			hiding = false
		case !hiding:
			b.WriteString(Hidden)
			hiding = true
		}
	}
	return b.String()
}
