// Package redact hides secrets in text from a peer: an OAuth endpoint, a mail server,
// an outbound proxy or a helper program. Peers may repeat a secret that they received,
// completely or in part, in plain text or encoded.
package redact

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Hidden replaces hidden text.
const Hidden = "(hidden)"

const (
	// maxText is the maximum length of the text that is searched, in octets. The
	// rest is dropped: a line of a mail server has at most 16 KiB, and errors are
	// shortened to much less.
	maxText = 20 << 10

	// maxOctets limits each of the two generations of secrets. 2 MiB hold the
	// tokens of about 500 accounts; their index takes up to 10 MiB.
	maxOctets = 2 << 20

	minSecret  = 4   // octets; shorter secrets are not hidden: they occur in ordinary words
	minSpaced  = 8   // octets; shorter secrets are not searched across white space
	minPartial = 16  // octets; shorter secrets are hidden only as a whole
	maxDense   = 128 // octets; of longer secrets only every fifth window is indexed

	window = 8 // octets of an indexed part
	stride = 5 // octets between the indexed parts of long secrets
)

// Secrets is a set of secrets to hide. Of a secret of 16 to 128 octets it hides
// every part of 8 octets or more, of a longer secret every part of 12 octets or
// more, and of a shorter secret only the whole. It does not hide secrets of fewer
// than 4 octets.
//
// It finds a part in plain text; with URL, JSON and HTML escapes in any mix; in
// base64 and base64url at any offset; in hexadecimal; and in combinations of these
// up to four levels deep. It ignores case, and white space, line breaks and control
// characters between the octets. It finds a secret of fewer than 8 octets that
// contains no white space only if there is no space or tab between its octets.
//
// The zero value is an empty set. Secrets is safe for concurrent use and must not be
// copied after first use.
type Secrets struct {
	mu     sync.RWMutex
	recent generation // receives new secrets
	older  generation // the previous recent; dropped when recent is full
	kept   []string   // added to each generation
}

// New returns a set of the given secrets.
func New(secrets ...string) *Secrets {
	s := new(Secrets)
	s.Add(secrets...)
	return s
}

// Add adds secrets. Memory is limited: a secret may be forgotten after 2 MiB of
// other secrets have been added. Callers therefore add a secret again each time they
// use it, which is cheap: the next Redact indexes new secrets.
func (s *Secrets) Add(secrets ...string) {
	for _, secret := range secrets {
		if len(secret) >= minSecret && !s.knows(secret) {
			s.add(secret)
		}
	}
}

// Keep adds secrets that are never forgotten: those of the configuration, whose
// number is limited. A peer that issues many tokens must not displace them.
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

// Redact returns text with secrets and their parts replaced by Hidden. It keeps line
// breaks. It truncates text to 20 KiB.
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

// index indexes the secrets added since the last call. It runs lazily, because most
// secrets are never searched for: at start, the daemon adds those of all accounts.
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

// Clean reports whether text contains no secret and no part of one.
func (s *Secrets) Clean(text string) bool { return s.Redact(text) == text }

// Error returns err with secrets hidden in its text. The result wraps err, so
// errors.Is and errors.As work; errors obtained that way have their original text.
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
	octets int      // total length of the known secrets
	added  []string // not yet indexed

	wide   bool                     // a secret contains octets beyond ASCII
	pieces map[uint64]struct{}      // indexed windows
	short  map[uint32][]shortSecret // by their first 4 octets
}

// A shortSecret is a secret that is hidden only as a whole.
type shortSecret struct {
	octets string
	spaced bool // match across white space
}

func (g *generation) add(secret string) {
	if g.known == nil {
		g.known = make(map[string]bool)
	}
	if !g.known[secret] { // another goroutine may have added it
		g.known[secret] = true
		g.octets += len(secret)
		g.added = append(g.added, secret)
	}
}

func (g *generation) index() {
	if g.pieces == nil {
		g.pieces, g.short = make(map[uint64]struct{}), make(map[uint32][]shortSecret)
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
	case n < minPartial:
		key := uint32(octets.window(0, minSecret))
		g.short[key] = append(g.short[key], shortSecret{octets.folded(), n >= minSpaced || n < len(secret)})
	case n <= maxDense:
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
	hidden  []bool // for each octet of text; nil if nothing is hidden
	decoded int    // levels of base64 or hexadecimal that are decoded
}

// search searches a view and its decodings, up to depth levels.
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
	f.decoded++
	for skip := range 4 {
		f.search(v.digits(&inBase64, skip), depth-1)
	}
	for skip := range 2 {
		f.search(v.digits(&inHex, skip), depth-1)
	}
	f.decoded--
}

// searchForm searches v as form data, in which "+" stands for a space.
func (f *search) searchForm(v view, depth int) {
	if u := v.without('+'); len(u) < len(v) {
		f.search(u, depth)
	}
}

// mark hides the parts of the text that v shows as secrets.
func (f *search) mark(v view) {
	f.secrets.recent.mark(f, v)
	f.secrets.older.mark(f, v)
}

// beyondASCII masks the bits that ASCII octets do not have. Text decoded with a
// wrong encoding usually has them, and then needs no lookup.
const beyondASCII = 0x8080808080808080

func (g *generation) mark(f *search, v view) {
	var last uint64 // the last 8 octets
	for i, o := range v {
		last = last<<8 | uint64(fold(o.b))
		if i >= window-1 && (g.wide || last&beyondASCII == 0) {
			if _, found := g.pieces[last]; found {
				f.hide(v[i-window+1].from, o.to)
			}
		}
		if i >= minSecret-1 && len(g.short) > 0 && (g.wide || uint32(last)&(beyondASCII&0xffffffff) == 0) {
			for _, w := range g.short[uint32(last)] {
				f.markShort(v[i-minSecret+1:], w)
			}
		}
	}
}

// markShort hides a short secret if v begins with it. It does not match a very short
// one across white space: "are able" does not contain the secret "real".
func (f *search) markShort(v view, w shortSecret) {
	n := len(w.octets)
	if len(v) < n || v[:n].folded() != w.octets {
		return
	}
	from, to := v[0].from, v[n-1].to
	if w.spaced || !strings.ContainsAny(f.text[from:to], " \t") {
		f.hide(from, to)
	}
}

// hide hides a part of the text. Within base64 or hexadecimal it extends the part to
// the whole word, because the rest of the word is not readable.
func (f *search) hide(from, to int32) {
	if f.hidden == nil {
		f.hidden = make([]bool, len(f.text))
	}
	if f.decoded > 0 {
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

// redacted returns the text with the hidden parts replaced. It keeps line breaks, so
// that several lines can be redacted together.
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
