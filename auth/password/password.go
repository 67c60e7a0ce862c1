// Package password checks the local passwords of clients, slows down guesses, and
// keeps one client's guesses from delaying another's login.
package password

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxHashes bounds how many hashes one attempt costs, and how many logins a user name
// has.
const maxHashes = 16

// A Checker checks passwords against the logins of all accounts. It may be used by
// several goroutines at once.
//
// A right password is remembered for the host or local user that it came from, so
// that it costs a MAC instead of a slow hash the next time. Everything else takes the
// same time, whatever is wrong: an unknown name, a wrong password, a login that is
// not allowed.
type Checker struct {
	users    map[string]*user // by folded user name
	unknown  *user            // for all other names
	verify   func(password, hash string) (bool, error)
	throttle *throttle
	metrics  *Metrics

	mu      sync.Mutex // guards memory of all logins, and what follows
	keys    keys
	unsaved bool // something in memory is newer than what was saved
}

// New returns a Checker for logins. The metrics may be nil. The error has all faults
// of the logins.
func New(logins []Login, m *Metrics) (*Checker, error) {
	c := &Checker{
		users:    make(map[string]*user, len(logins)),
		unknown:  &user{wrong: errUnknownUser},
		verify:   verify,
		throttle: newThrottle(),
		metrics:  m,
		keys:     newKeys(),
	}
	var faults []error
	for _, l := range logins {
		if err := c.add(l); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", l.User, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	equalize(c.users, c.unknown)
	return c, nil
}

// add gives l to its user name.
func (c *Checker) add(l Login) error {
	cost, err := parseHash(l.Hash)
	if err != nil {
		return fmt.Errorf("the password hash %w", err)
	}
	name := foldUser(l.User)
	u := c.users[name]
	switch {
	case u == nil:
		u = &user{wrong: errWrongPassword}
		c.users[name] = u
	case u.logins[0].Account != l.Account:
		return fmt.Errorf("user name of two accounts, %s and %s", u.logins[0].Account, l.Account)
	case len(u.logins) == maxHashes:
		return fmt.Errorf("more than %d passwords for one user name", maxHashes)
	}
	u.logins = append(u.logins, &login{Login: l, cost: cost, id: loginID(name, l.Hash)})
	return nil
}

// Check returns the login that an attempt opens. If it opens none, Check returns what
// is known about it: the login whose password was right, or what all logins of the
// user name have in common. The error is an ErrRefused or ErrThrottled, or that of
// ctx if the client left or its time was over before its turn.
func (c *Checker) Check(ctx context.Context, a Attempt) (Login, error) {
	l, err := c.check(ctx, a)
	c.metrics.countFailure(err)
	return l, err
}

func (c *Checker) check(ctx context.Context, a Attempt) (Login, error) {
	name := foldUser(a.User)
	u := c.users[name]
	if u == nil {
		u = c.unknown
	}
	if a.Password == "" || len(a.Password) > maxPassword {
		return u.common(), u.wrong
	}
	host, local := hostOf(a)
	l, likely := c.recognize(u, host, a)
	if l != nil {
		return l.Login, nil
	}
	turn, err := c.throttle.wait(ctx, origin{host, local, likely}, name)
	if err != nil {
		return u.common(), err
	}
	failed := false
	defer func() { c.throttle.done(turn, failed) }()
	if l, _ := c.recognize(u, host, a); l != nil { // thanks to the turn before
		return l.Login, nil
	}
	found, err := c.hash(u, host, a)
	if failed = errors.Is(err, ErrRefused); failed && turn.delayed {
		c.metrics.countDelayed()
	}
	return found, err
}

// hash compares a password that was not recognized with the logins of u.
func (c *Checker) hash(u *user, host string, a Attempt) (Login, error) {
	found, denied := u.common(), error(u.wrong)
	right := false
	for _, l := range u.logins {
		ok, err := c.verify(a.Password, l.Hash)
		switch {
		case err != nil:
			return Login{}, err
		case !ok:
		case l.denied(a) == nil:
			c.remember(l, host, a.Password)
			return l.Login, nil
		case !right:
			right, found, denied = true, l.Login, l.denied(a)
		}
	}
	for _, dummy := range u.dummies {
		if _, err := c.verify(a.Password, dummy); err != nil {
			return Login{}, err
		}
	}
	return found, denied
}
