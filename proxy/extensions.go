package proxy

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory is what the upstreams could do when last seen. A client is told before
// login what it can do after, and then it is not always known which upstream
// that will be.
type memory struct {
	mu         sync.Mutex
	extensions map[*Upstream][]string
	failed     map[*Upstream]time.Time // when it could not be reached
}

// failurePause is how long an upstream that could not be reached at EHLO is left
// alone there: each client would wait in vain.
const failurePause = 30 * time.Second

// fail notes that u could not be reached.
func (m *memory) fail(u *Upstream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = make(map[*Upstream]time.Time)
	}
	m.failed[u] = time.Now()
}

// failedLately reports whether u could not be reached a short time ago, and has not
// been since.
func (m *memory) failedLately(u *Upstream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.failed[u]
	return ok && time.Since(at) < failurePause
}

// keep remembers the extensions of u.
func (m *memory) keep(u *Upstream, extensions []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.extensions == nil {
		m.extensions = make(map[*Upstream][]string)
	}
	m.extensions[u] = slices.Clone(extensions)
	delete(m.failed, u)
}

// knows reports whether u has been seen.
func (m *memory) knows(u *Upstream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.extensions[u]
	return ok
}

// common returns the extensions that all of upstreams have, in the first one's
// order. One that was never seen is taken to have those of unseen.
func (m *memory) common(upstreams []*Upstream, unseen []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var common []string
	for i, u := range upstreams {
		theirs, ok := m.extensions[u]
		if !ok {
			theirs = unseen
		}
		if i == 0 {
			common = slices.Clone(theirs)
		} else {
			common = intersect(common, theirs)
		}
	}
	return common
}

// intersect returns the extensions of a that b has as well. Of two sizes the
// smaller one counts; other parameters must be the same.
func intersect(a, b []string) []string {
	both := make([]string, 0, len(a))
	for _, x := range a {
		for _, y := range b {
			if strings.EqualFold(x, y) {
				both = append(both, x)
			} else if size, ok := smaller(x, y); ok {
				both = append(both, size)
			}
		}
	}
	return both
}

// smaller returns the one of two SIZE extensions that allows less (RFC 1870
// section 4: a size of 0, or none, is no promise).
func smaller(x, y string) (string, bool) {
	n, okx := size(x)
	m, oky := size(y)
	switch {
	case !okx || !oky:
		return "", false
	case m == 0 || (n != 0 && n < m):
		return x, true
	}
	return y, true
}

func size(extension string) (n uint64, ok bool) {
	name, number, _ := strings.Cut(extension, " ")
	if !strings.EqualFold(name, "SIZE") {
		return 0, false
	}
	n, _ = strconv.ParseUint(strings.TrimSpace(number), 10, 64)
	return n, true
}
