package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// ErrPassword says that name and password do not go together, and not which of
// them is at fault.
var ErrPassword = errors.New("unknown login or wrong password")

// ErrGuesses says that there were too many wrong passwords of late, so that this
// one was not looked at.
var ErrGuesses = errors.New("too many wrong passwords; not looked at for a while")

// maxPassword bounds what is hashed for anybody who can connect, in bytes.
const maxPassword = 1 << 10

// hashParams returns the first of OWASP's recommendations for argon2id that a
// small server can bear: 19 MiB, and some 20 ms.
func hashParams() *argon2id.Params {
	return &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// HashPassword returns the argon2id hash of a password, in PHC string format.
func HashPassword(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return argon2id.CreateHash(password, hashParams())
}

// A Login is a user name and a password, with which a program opens an account.
type Login struct {
	Account string
	Label   string // which of the account's; empty: the one that has no label
	User    string // matched without regard to case
	Hash    string // of the password

	Protocols []string       // that it may speak; empty: all
	Networks  []netip.Prefix // where it may come from; empty: anywhere
	Ends      time.Time      // when it does; zero: never
}

// An Attempt is what a program says to log in, by which protocol, and from where.
type Attempt struct {
	Protocol       string
	User, Password string
	From           netip.Addr // not valid: from this machine
}

// Passwords are the logins of all accounts. A right password that comes again
// costs a MAC instead of the slow hash, so that a program that logs in every
// minute burns no CPU; the key of the MAC lives and dies with the process. An
// unknown name takes as long as a wrong password for an account whose hash has
// the parameters of most; where they differ, the time tells names apart.
type Passwords struct {
	logins  map[string]Login // by user name in lower case
	nobody  string           // the hash that an unknown name is compared with
	compare func(password, hash string) (bool, error)

	// turns has room for as many as can hash at once. It is a channel because
	// a client may leave while it waits.
	turns chan struct{}

	key   []byte
	mu    sync.Mutex
	right map[string][sha256.Size]byte // by user name: the MAC of its last right password
}

// NewPasswords returns the passwords of logins. The error tells all that is wrong
// with them.
func NewPasswords(logins []Login) (*Passwords, error) {
	p := &Passwords{
		logins:  make(map[string]Login, len(logins)),
		compare: argon2id.ComparePasswordAndHash,
		turns:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		key:     make([]byte, sha256.Size),
		right:   make(map[string][sha256.Size]byte),
	}
	rand.Read(p.key) // never fails: it ends the program instead
	var faults []error
	count := make(map[argon2id.Params]int)
	common := *hashParams()
	for _, l := range logins {
		params, err := parseHash(l.Hash)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", l.User, err))
			continue
		}
		folded := strings.ToLower(l.User)
		if twin, found := p.logins[folded]; found {
			faults = append(faults, fmt.Errorf("%s and %s differ only in case", twin.User, l.User))
		}
		p.logins[folded] = l
		if count[params]++; count[params] > count[common] {
			common = params
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	p.nobody = noPassword(common)
	return p, nil
}

// noPassword is a hash that no password has, as costly as those of params. It is
// not computed, so that a daemon which is at rest need not have had the memory.
func noPassword(params argon2id.Params) string {
	random := func(n uint32) string {
		b := make([]byte, n)
		rand.Read(b)
		return base64.RawStdEncoding.EncodeToString(b)
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		params.Memory, params.Iterations, params.Parallelism, random(params.SaltLength), random(params.KeyLength))
}

// parseHash refuses hashes that are none, or that anybody could use to wear the
// machine down: the slow hash is open to all who can connect.
func parseHash(hash string) (argon2id.Params, error) {
	params, _, _, err := argon2id.DecodeHash(hash)
	switch {
	case err != nil:
		return argon2id.Params{}, errors.New("the password hash is not of argon2id: make one with xoauthd hash-password")
	case params.Iterations < 1 || params.Parallelism < 1 || params.SaltLength < 8 || params.KeyLength < 16:
		return argon2id.Params{}, errors.New("the password hash is too weak: make one with xoauthd hash-password")
	case params.Memory > 1<<20 || params.Iterations > 100 || params.SaltLength > 64 || params.KeyLength > 64:
		return argon2id.Params{}, errors.New("the password hash is too costly (at most 1 GiB and 100 passes): make one with xoauthd hash-password")
	}
	return *params, nil
}

// Check returns the login that is attempted. If that fails, it is what is known
// of it. The error is ErrPassword, or that of ctx if the client left while others
// had their passwords hashed.
func (p *Passwords) Check(ctx context.Context, a Attempt) (Login, error) {
	if a.Password == "" || len(a.Password) > maxPassword {
		return Login{}, ErrPassword
	}
	l, known := p.logins[strings.ToLower(a.User)]
	if !known {
		l.Hash = p.nobody
	}
	mac := p.mac(l.User, a.Password)
	if p.recognized(l.User, mac) {
		return l, nil
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return Login{}, ctx.Err()
	}
	if p.recognized(l.User, mac) { // by one who had the turn before
		return l, nil
	}
	ok, err := p.compare(a.Password, l.Hash)
	if err != nil {
		return Login{}, err
	}
	if !ok || !known {
		return Login{}, ErrPassword
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.right[l.User] = mac
	return l, nil
}

// mac binds the password to the user name. The length keeps the two apart.
func (p *Passwords) mac(user, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(user))))
	h.Write([]byte(user))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// recognized compares with a MAC of zeros where there is none.
func (p *Passwords) recognized(user string, mac [sha256.Size]byte) bool {
	p.mu.Lock()
	last, found := p.right[user]
	p.mu.Unlock()
	return hmac.Equal(last[:], mac[:]) && found
}
