package proxy

import (
	"slices"
	"sync"
)

// counts are the sessions that are there.
type counts struct {
	mu       sync.Mutex
	accounts map[string]int // by account; all of them under ""

	// strangers are the sessions that have not shown a password yet, or not the
	// right one, the oldest first.
	strangers []*session
}

// enter counts one more session, of an account or, with an empty name, in all.
// It returns what ends it, or false if there are most already.
func (c *counts) enter(account string, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(account, most)
}

// admit counts one more session in all. If there are most already, the oldest
// stranger has to go: who only connects and says nothing must not keep out who
// knows a password.
func (c *counts) admit(s *session, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.accounts[""] >= most && len(c.strangers) > 0 {
		oldest := c.strangers[0]
		c.strangers = c.strangers[1:]
		oldest.displaced.Store(true)
		oldest.client.Interrupt()
		c.remove("")
	}
	if _, ok = c.add("", most); !ok {
		return nil, false
	}
	c.strangers = append(c.strangers, s)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !s.displaced.Load() {
			c.forget(s)
			c.remove("")
		}
	}, true
}

// known says that s is no stranger any more. It returns false if that comes too
// late.
func (c *counts) known(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(s)
	return !s.displaced.Load()
}

func (c *counts) forget(s *session) {
	c.strangers = slices.DeleteFunc(c.strangers, func(x *session) bool { return x == s })
}

func (c *counts) add(account string, most int) (leave func(), ok bool) {
	if most > 0 && c.accounts[account] >= most {
		return nil, false
	}
	if c.accounts == nil {
		c.accounts = make(map[string]int)
	}
	c.accounts[account]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.remove(account)
	}, true
}

func (c *counts) remove(account string) {
	if c.accounts[account]--; c.accounts[account] == 0 {
		delete(c.accounts, account)
	}
}
