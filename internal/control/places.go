package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/xoauthd/xoauthd/internal/text"
)

// places are the requests that are being carried out, maxOfKind of each command at
// most. The zero value is ready to use.
type places struct {
	mu     sync.Mutex
	taken  map[string]map[int]string // the accounts of requests, by command and number
	number int
}

// enter takes a place for r, which the caller must leave. The error names the requests
// that have all the places.
func (p *places) enter(r Request) (leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kind := p.taken[r.Command]
	if len(kind) >= maxOfKind {
		return nil, full(r.Command, kind)
	}
	if kind == nil {
		if p.taken == nil {
			p.taken = make(map[string]map[int]string)
		}
		kind = make(map[int]string)
		p.taken[r.Command] = kind
	}
	p.number++
	number := p.number
	kind[number] = r.Account
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(kind, number)
	}, nil
}

// maxNamed is how many accounts the error for a request without a place names.
const maxNamed = 3

// full is the error for one more request of a command.
func full(command string, kind map[int]string) error {
	accounts := slices.Compact(slices.Sorted(maps.Values(kind)))
	accounts = slices.DeleteFunc(accounts, func(a string) bool { return a == "" })
	of := ""
	if len(accounts) > 0 {
		of = " for " + text.Line(strings.Join(accounts[:min(len(accounts), maxNamed)], ", "), 300)
	}
	if more := len(accounts) - maxNamed; more > 0 {
		of += fmt.Sprintf(" and %d more accounts", more)
	}
	return fmt.Errorf("%d %q commands%s have not ended yet: end one, or try again later", len(kind), command, of)
}
