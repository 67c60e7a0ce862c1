package password

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alexedwards/argon2id"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"
)

const (
	// maxPassword bounds the length of a password, in bytes: anybody who can connect
	// makes xoauthd hash one.
	maxPassword = 1 << 10

	// maxBcryptPassword is how much bcrypt reads of a password, in bytes.
	maxBcryptPassword = 72
)

// params are the first of OWASP's recommendations for argon2id that a small server
// can bear: 19 MiB, and some 20 ms.
func params() *argon2id.Params {
	return &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// Hash returns the argon2id hash of a password, in PHC string format.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return argon2id.CreateHash(password, params())
}

// verify reports whether a hash that parseHash has accepted is that of password. It
// takes as long if it is not.
func verify(password, hash string) (bool, error) {
	switch {
	case strings.HasPrefix(hash, kindBcrypt):
		// bcrypt ignores what follows its 72nd byte, and treats a zero byte as the
		// end: other passwords would match, too.
		whole := len(password) <= maxBcryptPassword && !strings.Contains(password, "\x00")
		err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return whole && err == nil, err
	case strings.HasPrefix(hash, kindSHA512):
		digest, err := shacrypt.DecodeVariant(shacrypt.VariantSHA512)(hash)
		if err != nil {
			return false, err
		}
		return digest.MatchAdvanced(password)
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}

// dummyHash returns a hash of cost c that no password has. It is not computed, so
// that an idle daemon need not have had the memory for it.
func dummyHash(c cost) string {
	random := rand.Text() + rand.Text() + rand.Text() + rand.Text()
	switch c.kind {
	case kindBcrypt:
		return fmt.Sprintf("$2a$%02d$%s", c.iterations, random[:53])
	case kindSHA512:
		return fmt.Sprintf("$6$rounds=%d$%s$%s", c.iterations, random[:16], random[16:102])
	}
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", c.memory, c.iterations, c.lanes, random[:16], random[16:48])
}

// equalize gives each user name, and the unknown one, the dummy hashes that it needs
// so that a wrong password costs the same for all: of each cost as many hashes as the
// user name with the most of them has. Beyond maxHashes for one attempt, costs that
// few user names have are left out.
func equalize(users map[string]*user, unknown *user) {
	most, names := make(map[cost]int), make(map[cost]int)
	for _, u := range users {
		for c, n := range u.costs() {
			most[c] = max(most[c], n)
			names[c]++
		}
	}
	if len(most) == 0 {
		p := params()
		most[cost{kindArgon2id, int(p.Iterations), int(p.Memory), int(p.Parallelism)}] = 1
	}
	left := maxHashes
	for _, c := range slices.SortedFunc(maps.Keys(most), func(a, b cost) int { return names[b] - names[a] }) {
		n := min(most[c], left)
		left -= n
		unknown.addDummies(c, n)
		for _, u := range users {
			u.addDummies(c, n-u.costs()[c])
		}
	}
}

// costs returns how many logins u has of each cost.
func (u *user) costs() map[cost]int {
	costs := make(map[cost]int)
	for _, l := range u.logins {
		costs[l.cost]++
	}
	return costs
}

func (u *user) addDummies(c cost, n int) {
	for range n {
		u.dummies = append(u.dummies, dummyHash(c))
	}
}
