package proxy

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory caches the extensions of upstreams: clients need them before the login, when the
// upstream may not be known or not be connected.
type memory struct {
	mu         sync.Mutex
	extensions map[*Upstream][]string
	failed     map[*Upstream]time.Time // last failed connection
}

// failurePause is how long EHLO does not try again to connect after a failure.
const failurePause = 30 * time.Second

// fail records that u could not be reached.
func (m *memory) fail(u *Upstream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed == nil {
		m.failed = make(map[*Upstream]time.Time)
	}
	m.failed[u] = time.Now()
}

// failedLately reports whether the last connection to u failed within failurePause.
func (m *memory) failedLately(u *Upstream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.failed[u]
	return ok && time.Since(at) < failurePause
}

// keep stores the extensions of u.
func (m *memory) keep(u *Upstream, extensions []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.extensions == nil {
		m.extensions = make(map[*Upstream][]string)
	}
	m.extensions[u] = slices.Clone(extensions)
	delete(m.failed, u)
}

// knows reports whether the extensions of u are known.
func (m *memory) knows(u *Upstream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.extensions[u]
	return ok
}

// common returns the extensions that all upstreams have, in the order of the first one.
// unseen are assumed for an upstream whose extensions are not known.
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

// intersect returns the extensions of a that b has too. The smaller SIZE counts; other
// parameters must be equal.
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

// smaller returns the smaller of two SIZE extensions. 0 or no size is no limit (RFC 1870
// section 4).
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
