package password

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-crypt/crypt/algorithm/argon2"
)

const (
	// maxPassword is the greatest length of a password, in bytes. It limits the work
	// that an unauthenticated client can cause.
	maxPassword = 1 << 10

	// maxBcryptPassword is the number of bytes of a password that bcrypt reads.
	maxBcryptPassword = 72
)

// newCost returns the cost of new hashes: the OWASP recommendation for argon2id with
// 19 MiB of memory, which suits a small server. A hash takes about 20 ms.
func newCost() cost { return cost{kindArgon2id, 2, 19 << 10, 1} }

// Hash returns the argon2id hash of a password in PHC string format. It returns an
// error if the password is empty or longer than 1024 bytes.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	c := newCost()
	return argon2idHash(password, c.memory, c.iterations, c.lanes)
}

func argon2idHash(password string, memory, iterations, lanes int) (string, error) {
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithM(uint32(memory)), argon2.WithT(iterations), argon2.WithP(lanes))
	if err != nil {
		return "", err
	}
	digest, err := hasher.Hash(password)
	if err != nil {
		return "", err
	}
	return digest.Encode(), nil
}

// verify reports whether hash, which parseHash has accepted, is a hash of password. It
// takes the same time in both cases.
func verify(password, hash string) (bool, error) {
	kind := kindOf(hash)
	digest, err := decode(kind, hash)
	if err != nil {
		return false, err
	}
	// bcrypt ignores all bytes after the 72nd, and a zero byte ends the password, so that
	// different passwords would match.
	exact := kind != kindBcrypt || len(password) <= maxBcryptPassword && !strings.Contains(password, "\x00")
	match, err := digest.MatchAdvanced(password)
	return match && exact, err
}

// dummyHash returns a random hash of cost c that matches no known password. It does
// not compute one, because argon2id would need much memory at startup.
func dummyHash(c cost) string {
	random := rand.Text() + rand.Text() + rand.Text() + rand.Text()
	switch c.kind {
	case kindBcrypt:
		return fmt.Sprintf("$2a$%02d$%s", c.iterations, random[:53])
	case kindSHA256:
		return fmt.Sprintf("$5$rounds=%d$%s$%s", c.iterations, random[:16], random[16:59])
	case kindSHA512:
		return fmt.Sprintf("$6$rounds=%d$%s$%s", c.iterations, random[:16], random[16:102])
	case kindYescrypt: // the bits of the last digit that do not fit into a byte must be zero
		return fmt.Sprintf("$y$j%c%c$%s$%s.", cryptDigits[c.iterations-1], cryptDigits[c.memory-1], random[:20], random[20:62])
	}
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", c.memory, c.iterations, c.lanes, random[:16], random[16:48])
}

// equalizeCosts adds dummy hashes to every user name and to unknown, so that a wrong
// password takes the same time for all of them. Afterwards, each has as many hashes of
// each cost as the user name with the most hashes of that cost. Where this would exceed
// MaxHashes, equalizeCosts leaves out the costs that the fewest user names have.
func equalizeCosts(users map[string]*user, unknown *user) {
	most, names := make(map[cost]int), make(map[cost]int)
	for _, u := range users {
		for c, n := range u.costs() {
			most[c] = max(most[c], n)
			names[c]++
		}
	}
	if len(most) == 0 {
		most[newCost()] = 1
	}
	left := MaxHashes
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
