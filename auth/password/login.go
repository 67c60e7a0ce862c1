package password

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ErrRefused is what errors.Is finds in the error of an attempt that is refused. The
// text of the error says whether name, password or conditions are at fault. It is
// for the log only: clients get the same answer in all cases.
var ErrRefused = errors.New("unknown login or wrong password")

// ErrThrottled means that the password was not checked, because too many wrong ones
// have come from the same source.
var ErrThrottled = errors.New("too many wrong passwords; not checked for now")

// A Login is a user name and a password that open an account. Several logins of one
// account may share a user name.
type Login struct {
	Account string
	Label   string // of the login within the account; empty for the one without a label
	User    string // compared without regard to case
	Hash    string // of the password: argon2id, bcrypt or SHA-512-crypt

	Disabled  bool           // the account is disabled
	Provider  string         // of the account
	Protocols []string       // that the login may use; empty: all
	Networks  []netip.Prefix // that the login may come from; empty: all
	Ends      time.Time      // when the login expires; zero: never
}

// An Attempt is what a client presents to log in, and where it comes from.
type Attempt struct {
	Protocol       string
	Provider       string // whose accounts the listener serves; empty: all
	User, Password string

	From   netip.Addr // invalid for a client without an IP address, which is on this machine
	UID    uint32     // of the client's program on this machine
	HasUID bool       // UID is known
}

// A refusal is an ErrRefused with its reason.
type refusal struct{ reason, text string }

func (r *refusal) Error() string        { return r.text }
func (r *refusal) Is(target error) bool { return target == ErrRefused }

var (
	errUnknownUser   = &refusal{reasonUnknownUser, "unknown user name"}
	errWrongPassword = &refusal{reasonWrongPassword, "wrong password"}
)

// A user is one user name with its logins.
type user struct {
	logins  []*login
	dummies []string // hashes without a password, computed to equalize the time
	wrong   *refusal // for a password that none of the logins has
}

// A login is a configured one, and what is known of its password.
type login struct {
	Login
	cost cost
	id   string // of user name and hash, in the state file
	memory
}

// common returns what the logins of u have in common: everything if there is only
// one.
func (u *user) common() Login {
	switch len(u.logins) {
	case 0:
		return Login{}
	case 1:
		return u.logins[0].Login
	}
	return Login{Account: u.logins[0].Account, User: u.logins[0].User}
}

// denied returns why a must not open l although its password is right, or nil.
func (l *Login) denied(a Attempt) error {
	var text string
	switch from := a.From.Unmap().WithZone(""); {
	case l.Disabled:
		text = "its account is disabled"
	case a.Provider != "" && l.Provider != a.Provider:
		text = fmt.Sprintf("it is of provider %s, and this listener serves only %s", l.Provider, a.Provider)
	case !l.Ends.IsZero() && !time.Now().Before(l.Ends):
		text = "it ended on " + l.Ends.Add(-1).Format(time.DateOnly) // its last day
	case len(l.Protocols) > 0 && !slices.Contains(l.Protocols, a.Protocol):
		text = "it may not use " + a.Protocol
	case !l.allows(from) && from.IsValid():
		text = fmt.Sprintf("it may not come from %s", from)
	case !l.allows(from):
		text = "it may not come from this machine"
	default:
		return nil
	}
	return &refusal{reasonNotAllowed, fmt.Sprintf("login %q: %s", cmp.Or(l.Label, l.User), text)}
}

// allows reports whether l may come from an address. A client without one is at both
// loopback addresses.
func (l *Login) allows(from netip.Addr) bool {
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

// foldUser is how user names are compared.
func foldUser(name string) string { return strings.ToLower(name) }
