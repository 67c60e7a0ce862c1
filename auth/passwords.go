package auth

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrPassword is what errors.Is finds in why an attempt is refused. The error's
// text says which of name, password and conditions is at fault. That is for the
// log: the client must not learn more than this.
var ErrPassword = errors.New("unknown login or wrong password")

// ErrGuesses says that there are too many wrong passwords, so that this one was
// not looked at.
var ErrGuesses = errors.New("too many wrong passwords; not looked at for a while")

const (
	// maxPassword bounds what is hashed for anybody who can connect, in bytes.
	maxPassword = 1 << 10

	// maxHashes bounds what one attempt costs, and the logins of a user name.
	maxHashes = 16
)

// A Login is a user name and a password, with which a program opens an account.
// Several may have one user name, if they are of one account.
type Login struct {
	Account string
	Label   string // which of the account's; empty: the one that has no label
	User    string // matched without regard to case
	Hash    string // of the password: argon2id, bcrypt or SHA-512-crypt

	Disabled  bool           // the account is
	Provider  string         // the account's
	Protocols []string       // that it may speak; empty: all
	Networks  []netip.Prefix // where it may come from; empty: anywhere
	Ends      time.Time      // when it does; zero: never
}

// An Attempt is what a program says to log in, by which protocol, and from where.
type Attempt struct {
	Protocol       string
	Provider       string // whose accounts alone are there; empty: every provider's
	User, Password string
	From           netip.Addr // not valid: from this machine
}

// A refusal is an ErrPassword.
type refusal struct{ reason, text string }

func (r *refusal) Error() string        { return r.text }
func (r *refusal) Is(target error) bool { return target == ErrPassword }

var (
	errUnknownUser   = &refusal{reasonUnknownUser, "unknown user name"}
	errWrongPassword = &refusal{reasonWrongPassword, "wrong password"}
)

// Passwords are the logins of all accounts. A right password that comes again
// costs a MAC instead of the slow hash, so that a program that logs in every
// minute burns no CPU; the key of the MAC lives and dies with the process.
//
// Whatever else is wrong takes the same time: an unknown name, a password, and a
// login that may not come in. Each costs the same hashes, with decoys in the place
// of those that a name has not; see newBudget for where that ends.
type Passwords struct {
	users   map[string]*user // by user name in lower case
	nobody  *user            // what an unknown name is
	compare func(password, hash string) (bool, error)
	guesses *guesses
	metrics *Metrics

	key []byte
	mu  sync.Mutex // guards right of all logins
}

// A user is all that there is of one user name.
type user struct {
	logins []*login
	decoys []string // hashes that no password has
	wrong  *refusal // of a password that none of the logins has
}

type login struct {
	Login
	right *[sha256.Size]byte // the MAC of its password, once that was right
}

// NewPasswords returns the passwords of logins. The metrics may be nil. The error
// tells all that is wrong with the logins.
func NewPasswords(logins []Login, m *Metrics) (*Passwords, error) {
	p := &Passwords{
		users:   make(map[string]*user),
		nobody:  &user{wrong: errUnknownUser},
		compare: compareHash,
		guesses: newGuesses(),
		metrics: m,
		key:     make([]byte, sha256.Size),
	}
	rand.Read(p.key) // never fails: it ends the program instead
	m.declareFailures()
	var faults []error
	spent := make(map[*user]budget)
	for _, l := range logins {
		c, err := parseHash(l.Hash)
		if err == nil {
			err = p.add(l)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", l.User, err))
			continue
		}
		u := p.users[strings.ToLower(l.User)]
		if spent[u] == nil {
			spent[u] = budget{}
		}
		spent[u][c]++
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	all := newBudget(slices.Collect(maps.Values(spent)))
	p.nobody.decoys = all.rest(nil)
	for u, b := range spent {
		u.decoys = all.rest(b)
	}
	return p, nil
}

// add gives l to its user name.
func (p *Passwords) add(l Login) error {
	name := strings.ToLower(l.User)
	u := p.users[name]
	switch {
	case u == nil:
		u = &user{wrong: errWrongPassword}
		p.users[name] = u
	case u.logins[0].Account != l.Account:
		return fmt.Errorf("user name of two accounts, %s and %s", u.logins[0].Account, l.Account)
	case len(u.logins) == maxHashes:
		return fmt.Errorf("%d passwords are the most for a user name", maxHashes)
	}
	u.logins = append(u.logins, &login{Login: l})
	return nil
}

// Check returns the login that is attempted. If that fails, it is what is known
// of it: the login whose password was right, or the only one of the user name, or
// of several what they have in common. The error is ErrPassword or ErrGuesses, or
// that of ctx if the client left, or stayed too long, while others had their
// passwords hashed.
//
// Who has failed before waits for a while, unless the password was right before;
// see guesses.
func (p *Passwords) Check(ctx context.Context, a Attempt) (Login, error) {
	l, err := p.check(ctx, a)
	p.metrics.countFailure(err)
	return l, err
}

func (p *Passwords) check(ctx context.Context, a Attempt) (Login, error) {
	name := strings.ToLower(a.User)
	u := p.users[name]
	if u == nil {
		u = p.nobody
	}
	if a.Password == "" || len(a.Password) > maxPassword {
		return u.common(), u.wrong
	}
	mac := p.mac(name, a.Password)
	if l := p.recognize(u, mac, a); l != nil {
		return l.Login, nil
	}
	g := p.guesses.begin(a.From, name)
	leave, err := g.enter(ctx)
	if err != nil {
		return u.common(), err
	}
	defer leave()
	if l := p.recognize(u, mac, a); l != nil { // thanks to who had the turn before
		return l.Login, nil
	}
	l, err := p.look(u, mac, a)
	if errors.Is(err, ErrPassword) {
		g.fail()
		if g.slowed {
			p.metrics.countDelayed()
		}
	}
	return l, err
}

// look hashes a password that was not recognized.
func (p *Passwords) look(u *user, mac [sha256.Size]byte, a Attempt) (Login, error) {
	var right []*login
	for _, l := range u.logins {
		ok, err := p.compare(a.Password, l.Hash)
		if err != nil {
			return Login{}, err
		}
		if ok {
			right = append(right, l)
		}
	}
	for _, decoy := range u.decoys {
		if _, err := p.compare(a.Password, decoy); err != nil {
			return Login{}, err
		}
	}
	if len(right) == 0 {
		return u.common(), u.wrong
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range right {
		l.right = &mac
	}
	for _, l := range right {
		if l.objection(a) == nil {
			return l.Login, nil
		}
	}
	return right[0].Login, right[0].objection(a)
}

// common is what the logins of u have in common: all, if there is only one.
func (u *user) common() Login {
	switch len(u.logins) {
	case 0:
		return Login{}
	case 1:
		return u.logins[0].Login
	}
	return Login{Account: u.logins[0].Account, User: u.logins[0].User}
}

// objection says why a must not open l, though its password is right.
func (l *Login) objection(a Attempt) error {
	var text string
	switch from := a.From.Unmap().WithZone(""); {
	case l.Disabled:
		text = "is of an account that is not enabled"
	case a.Provider != "" && l.Provider != a.Provider:
		text = fmt.Sprintf("is of provider %s, and this listener serves %s alone", l.Provider, a.Provider)
	case !l.Ends.IsZero() && !time.Now().Before(l.Ends):
		text = "ended on " + l.Ends.Add(-1).Format(time.DateOnly) // its last day
	case len(l.Protocols) > 0 && !slices.Contains(l.Protocols, a.Protocol):
		text = "may not speak " + a.Protocol
	case !l.admits(from) && from.IsValid():
		text = fmt.Sprintf("may not come from %s", from)
	case !l.admits(from):
		text = "may not come from this machine"
	default:
		return nil
	}
	return &refusal{reasonNotAllowed, fmt.Sprintf("login %q %s", cmp.Or(l.Label, l.User), text)}
}

// admits reports whether l may come from there. Who has no address is at each of
// those that every machine has.
func (l *Login) admits(from netip.Addr) bool {
	contains := func(a netip.Addr) bool {
		return slices.ContainsFunc(l.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
	}
	switch {
	case len(l.Networks) == 0:
		return true
	case from.IsValid():
		return contains(from)
	}
	return contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) || contains(netip.IPv6Loopback())
}

// mac binds the password to the user name. The length keeps the two apart.
func (p *Passwords) mac(name, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	h.Write([]byte(name))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// recognize returns the login of u that a opens with a password that was right
// before, or nil. One that a may not open is not recognized: the answer would come
// sooner than that to a wrong password.
func (p *Passwords) recognize(u *user, mac [sha256.Size]byte, a Attempt) (found *login) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range u.logins {
		if l.right != nil && hmac.Equal(l.right[:], mac[:]) && found == nil && l.objection(a) == nil {
			found = l
		}
	}
	return found
}
