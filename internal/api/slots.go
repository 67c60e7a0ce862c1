package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/xoauthd/xoauthd/internal/text"
)

// maxOfKind limits the simultaneous requests of one kind. An authorization takes minutes
// and must not keep out other requests.
const maxOfKind = 8

// slots are the requests in progress. The zero value is ready for use.
type slots struct {
	mu    sync.Mutex
	taken map[string][]string // by kind: the account of each request, or ""
}

// acquire takes a slot, which the caller must release. The error names the accounts of the
// requests that hold all slots.
func (s *slots) acquire(kind, account string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken[kind]) >= maxOfKind {
		return nil, busy(kind, s.taken[kind])
	}
	if s.taken == nil {
		s.taken = make(map[string][]string)
	}
	s.taken[kind] = append(s.taken[kind], account)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := slices.Index(s.taken[kind], account)
		s.taken[kind] = slices.Delete(s.taken[kind], i, i+1)
	}, nil
}

// maxNamed limits the accounts that an error names.
const maxNamed = 3

// busy returns the error for a request without a slot.
func busy(kind string, accounts []string) error {
	n := len(accounts)
	accounts = slices.Compact(slices.Sorted(slices.Values(accounts)))
	accounts = slices.DeleteFunc(accounts, func(a string) bool { return a == "" })
	of := ""
	if len(accounts) > 0 {
		of = " for " + text.Line(strings.Join(accounts[:min(len(accounts), maxNamed)], ", "), 300)
	}
	if more := len(accounts) - maxNamed; more > 0 {
		of += fmt.Sprintf(" and %d more accounts", more)
	}
	return &Error{Status: http.StatusServiceUnavailable, What: fmt.Sprintf("%d %q commands%s have not ended yet", n, kind, of), Hint: "End one, or try again later."}
}
