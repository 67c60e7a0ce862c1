package proxy

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An extensionCache has the extensions of upstreams: clients need
// them before the login, when the upstream may not be known or not be connected.
type extensionCache struct {
	mu         sync.Mutex
	extensions map[*Upstream][]string
	failed     map[*Upstream]time.Time // last failed connection
}

// failurePause is how long EHLO does not try to connect again after a failure.
const failurePause = 30 * time.Second

// recordFailure records that u could not be reached.
func (c *extensionCache) recordFailure(u *Upstream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[*Upstream]time.Time)
	}
	c.failed[u] = time.Now()
}

// failedRecently reports whether the last connection to u failed within failurePause.
func (c *extensionCache) failedRecently(u *Upstream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.failed[u]
	return ok && time.Since(at) < failurePause
}

// store stores the extensions of u.
func (c *extensionCache) store(u *Upstream, extensions []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.extensions == nil {
		c.extensions = make(map[*Upstream][]string)
	}
	c.extensions[u] = slices.Clone(extensions)
	delete(c.failed, u)
}

// has reports whether the extensions of u are known.
func (c *extensionCache) has(u *Upstream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.extensions[u]
	return ok
}

// common returns the extensions that all upstreams have, in the order of the first one.
// assumed are assumed for an upstream whose extensions are not known.
func (c *extensionCache) common(upstreams []*Upstream, assumed []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var common []string
	for i, u := range upstreams {
		theirs, ok := c.extensions[u]
		if !ok {
			theirs = assumed
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
