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

// ErrRefused matches, by errors.Is, the error of every refused attempt. The text of
// that error names the reason: user name, password, or a limit of the login. The text
// is for the log only. Clients get the same reply in all cases.
var ErrRefused = errors.New("unknown login or wrong password")

// ErrThrottled means that xoauthd did not check the password because the same source
// has sent too many wrong ones.
var ErrThrottled = errors.New("too many wrong passwords; not checked for now")

// A Login is a user name and a password that give access to an account. Several
// logins of one account may share a user name.
type Login struct {
	Account string
	Label   string // label of the login within the account, may be empty
	User    string // compared without regard to case
	Hash    string // password hash that ParseHash accepts

	Disabled  bool           // the account is disabled
	Provider  string         // name of the account's provider
	Protocols []string       // allowed protocols; empty allows all
	Networks  []netip.Prefix // allowed client networks; empty allows all
	Ends      time.Time      // expiry of the login; zero means never
}

// An Attempt is one attempt of a client to log in.
type Attempt struct {
	Protocol       string
	Provider       string // provider that the listener serves; empty means all
	User, Password string

	From   netip.Addr // client address; invalid for a unix socket, so for a local client
	UID    uint32     // user ID of a local client
	HasUID bool       // UID is valid
}

// A refusal is an ErrRefused with its reason, a value of the metric's label.
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
	dummies []string // hashes that match no password; they equalize the time of a check
	wrong   *refusal // error for a password that matches no login
}

// A login is a configured Login with its cached password.
type login struct {
	Login
	cost cost
	id   string // key of the login in the saved state
	cachedPassword
}

// common returns the fields that all logins of u share. For a single login, these are
// all fields.
func (u *user) common() Login {
	switch len(u.logins) {
	case 0:
		return Login{}
	case 1:
		return u.logins[0].Login
	}
	return Login{Account: u.logins[0].Account, User: u.logins[0].User}
}

// denied returns an error if a must not open l despite the correct password.
func (l *Login) denied(a Attempt) error {
	var text string
	switch from := a.From.Unmap().WithZone(""); {
	case l.Disabled:
		text = "the account is disabled"
	case a.Provider != "" && l.Provider != a.Provider:
		text = fmt.Sprintf("the account belongs to provider %s, but this listener serves only %s", l.Provider, a.Provider)
	case !l.Ends.IsZero() && !time.Now().Before(l.Ends):
		text = "expired after " + l.Ends.Add(-1).Format(time.DateOnly) // the last valid day
	case len(l.Protocols) > 0 && !slices.Contains(l.Protocols, a.Protocol):
		text = "protocol " + a.Protocol + " is not allowed"
	case !l.allows(from) && from.IsValid():
		text = fmt.Sprintf("address %s is not allowed", from)
	case !l.allows(from):
		text = "this machine is not allowed"
	default:
		return nil
	}
	return &refusal{reasonNotAllowed, fmt.Sprintf("login %q: %s", cmp.Or(l.Label, l.User), text)}
}

// allows reports whether l accepts clients at from. A client without an address counts
// as one at both loopback addresses.
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

// foldUser returns name in the form in which user names are compared.
func foldUser(name string) string { return strings.ToLower(name) }
