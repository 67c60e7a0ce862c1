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
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// ErrPassword says that name and password do not go together, and not which of
// them is at fault.
var ErrPassword = errors.New("unknown login or wrong password")

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

// Passwords are the local passwords of the accounts. A right password that
// comes again costs a MAC instead of the slow hash, so that a program that logs
// in every minute burns no CPU; the key of the MAC lives and dies with the
// process. An unknown name takes as long as a wrong password for an account whose
// hash has the parameters of most; where they differ, the time tells names apart.
type Passwords struct {
	entries map[string]entry // by name in lower case
	nobody  string           // the hash that an unknown name is compared with
	compare func(password, hash string) (bool, error)

	// turns has room for as many as can hash at once. It is a channel because
	// a client may leave while it waits.
	turns chan struct{}

	key   []byte
	mu    sync.Mutex
	right map[string][sha256.Size]byte // by account: the MAC of its last right password
}

type entry struct{ account, hash string }

// NewPasswords takes the PHC string of each login name. Names are matched
// without regard to case. The error tells all that is wrong with the hashes.
func NewPasswords(hashes map[string]string) (*Passwords, error) {
	p := &Passwords{
		entries: make(map[string]entry, len(hashes)),
		compare: argon2id.ComparePasswordAndHash,
		turns:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		key:     make([]byte, sha256.Size),
		right:   make(map[string][sha256.Size]byte),
	}
	rand.Read(p.key) // never fails: it ends the program instead
	var faults []error
	count := make(map[argon2id.Params]int)
	common := *hashParams()
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		params, err := parseHash(hashes[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		folded := strings.ToLower(name)
		if twin, found := p.entries[folded]; found {
			faults = append(faults, fmt.Errorf("%s and %s differ only in case", twin.account, name))
		}
		p.entries[folded] = entry{name, hashes[name]}
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

// Check returns the account that name and password are those of, in its own
// spelling. The error is ErrPassword, or that of ctx if the client left while
// others had their passwords hashed.
func (p *Passwords) Check(ctx context.Context, name, password string) (account string, err error) {
	if password == "" || len(password) > maxPassword {
		return "", ErrPassword
	}
	e, known := p.entries[strings.ToLower(name)]
	if !known {
		e.hash = p.nobody
	}
	mac := p.mac(e.account, password)
	if p.recognized(e.account, mac) {
		return e.account, nil
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if p.recognized(e.account, mac) { // by one who had the turn before
		return e.account, nil
	}
	ok, err := p.compare(password, e.hash)
	if err != nil {
		return "", err
	}
	if !ok || !known {
		return "", ErrPassword
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.right[e.account] = mac
	return e.account, nil
}

// mac binds the password to the account. The length keeps the two apart.
func (p *Passwords) mac(account, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(account))))
	h.Write([]byte(account))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// recognized compares with a MAC of zeros where there is none.
func (p *Passwords) recognized(account string, mac [sha256.Size]byte) bool {
	p.mu.Lock()
	last, found := p.right[account]
	p.mu.Unlock()
	return hmac.Equal(last[:], mac[:]) && found
}
