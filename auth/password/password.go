// Package password checks the local passwords of clients. It throttles guesses, and it
// keeps the guesses of one client from delaying the logins of others.
//
// The throttle is a queue of its own: semaphores of golang.org/x/sync serve in order of
// arrival, and limiters of golang.org/x/time count attempts, but the guarantees of
// SECURITY.md need hosts that take turns, and delays that depend on failures.
package password

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// MaxHashes limits the hashes that xoauthd computes for one login attempt, and therefore
// the logins of one user name.
const MaxHashes = 16

// A Checker checks passwords against the logins of all accounts. It may be used by
// several goroutines at once.
//
// A Checker caches each correct password together with the host or local user that
// sent it, so that the next login from there costs a MAC instead of a slow hash. All
// other attempts take the same time, whether the user name is unknown, the password is
// wrong, or the login is not allowed.
type Checker struct {
	users    map[string]*user // by folded user name
	unknown  *user            // stands in for every unknown user name
	verify   func(password, hash string) (bool, error)
	throttle *throttle
	metrics  *Metrics

	mu      sync.Mutex // guards the fields below and the cachedPassword of all logins
	keys    keys
	unsaved bool // the cache has entries that Save has not written
}

// New returns a Checker for logins. The metrics may be nil. The error joins the
// errors of all invalid logins.
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
	equalizeCosts(c.users, c.unknown)
	return c, nil
}

// add adds l to the logins of its user name.
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
		return fmt.Errorf("two accounts, %s and %s, have this user name", u.logins[0].Account, l.Account)
	case len(u.logins) == MaxHashes:
		return fmt.Errorf("more than %d passwords for one user name", MaxHashes)
	}
	u.logins = append(u.logins, &login{Login: l, cost: cost, id: loginID(name, l.Hash)})
	return nil
}

// Check returns the login that a opens. If a opens none, Check returns what it knows:
// the login with the correct password, or the fields that all logins of the user name
// share. The error is ErrRefused, ErrThrottled, or the error of ctx if ctx ended while
// the attempt waited.
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
	l, likely := c.cached(u, host, a)
	if l != nil {
		return l.Login, nil
	}
	w, err := c.throttle.acquire(ctx, origin{host, local, likely}, name)
	if err != nil {
		return u.common(), err
	}
	failed := false
	defer func() { c.throttle.release(w, failed) }()
	// Another attempt with the same password may have succeeded in the meantime.
	if l, _ := c.cached(u, host, a); l != nil {
		return l.Login, nil
	}
	found, err := c.compareHashes(u, host, a)
	if failed = errors.Is(err, ErrRefused); failed && w.delayed {
		c.metrics.countDelayed()
	}
	return found, err
}

// compareHashes compares the password of a with the hashes of all logins of u, and
// computes the dummy hashes of u if none matches.
func (c *Checker) compareHashes(u *user, host string, a Attempt) (Login, error) {
	found, denied := u.common(), error(u.wrong)
	correct := false
	for _, l := range u.logins {
		ok, err := c.verify(a.Password, l.Hash)
		switch {
		case err != nil:
			return Login{}, err
		case !ok:
		case l.denied(a) == nil:
			c.remember(l, host, a.Password)
			return l.Login, nil
		case !correct:
			correct, found, denied = true, l.Login, l.denied(a)
		}
	}
	for _, dummy := range u.dummies {
		if _, err := c.verify(a.Password, dummy); err != nil {
			return Login{}, err
		}
	}
	return found, denied
}
