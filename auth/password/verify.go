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
	// maxPassword is the greatest length of a password, in bytes. It limits the work
	// that an unauthenticated client can cause.
	maxPassword = 1 << 10

	// maxBcryptPassword is the number of bytes of a password that bcrypt reads.
	maxBcryptPassword = 72
)

// params returns the parameters of new hashes: the OWASP recommendation for argon2id
// with 19 MiB of memory, which suits a small server. A hash takes about 20 ms.
func params() *argon2id.Params {
	return &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// Hash returns the argon2id hash of a password in PHC string format. It returns an
// error if the password is empty or longer than 1024 bytes.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return argon2id.CreateHash(password, params())
}

// verify reports whether hash, which parseHash has accepted, is a hash of password. It
// takes the same time in both cases.
func verify(password, hash string) (bool, error) {
	switch {
	case strings.HasPrefix(hash, kindBcrypt):
		// bcrypt ignores all bytes after the 72nd, and a zero byte ends the password,
		// so that different passwords would match.
		exact := len(password) <= maxBcryptPassword && !strings.Contains(password, "\x00")
		err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return exact && err == nil, err
	case strings.HasPrefix(hash, kindSHA512):
		digest, err := shacrypt.DecodeVariant(shacrypt.VariantSHA512)(hash)
		if err != nil {
			return false, err
		}
		return digest.MatchAdvanced(password)
	}
	return argon2id.ComparePasswordAndHash(password, hash)
}

// dummyHash returns a random hash of cost c that matches no known password. It does
// not compute one, because argon2id would need much memory at startup.
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

// equalizeCosts adds dummy hashes to every user name and to unknown, so that a wrong
// password takes the same time for all of them. Afterwards, each has as many hashes of
// each cost as the user name with the most hashes of that cost. Where this would exceed
// maxHashes, equalizeCosts leaves out the costs that the fewest user names have.
func equalizeCosts(users map[string]*user, unknown *user) {
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

// costs returns the number of logins of u by cost.
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
