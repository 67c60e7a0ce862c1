package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alexedwards/argon2id"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"
)

// The kinds of hashes, as they begin. htpasswd and PHP write $2y$ for what others
// call $2b$; the old $2a$ differs from neither in what passwords can hold.
const (
	kindArgon2id = "$argon2id$"
	kindBcrypt   = "$2"
	kindSHA512   = "$6$"
)

// What a hash may cost. It is open to all who can connect, so that these keep a
// single one below some seconds.
const (
	maxMemory       = 1 << 20 // of argon2id, in KiB
	maxPasses       = 100     // of argon2id
	maxBcryptCost   = 14
	maxSHA512Rounds = 1_000_000
	minSHA512Rounds = 1000 // crypt(3) makes no hash with fewer

	defaultSHA512Rounds = 5000 // where the hash does not say
)

var (
	bcryptHash = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)
	sha512Hash = regexp.MustCompile(`^\$6\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`)
)

// maxBcryptPassword is what bcrypt looks at of a password, in bytes.
const maxBcryptPassword = 72

// A cost is what a hash costs. Hashes of one cost take the same time.
type cost struct {
	kind          string
	passes        int // of bcrypt, the logarithm of them
	memory, lanes int // of argon2id
}

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

// parseHash refuses hashes that are none, that match too much, or that anybody
// could use to wear the machine down.
func parseHash(hash string) (cost, error) {
	switch {
	case strings.HasPrefix(hash, kindArgon2id):
		return parseArgon2id(hash)
	case strings.HasPrefix(hash, kindBcrypt):
		return parseCrypt(hash, kindBcrypt, bcryptHash, bcrypt.MinCost, maxBcryptCost)
	case strings.HasPrefix(hash, kindSHA512):
		return parseCrypt(hash, kindSHA512, sha512Hash, minSHA512Rounds, maxSHA512Rounds)
	}
	return cost{}, errors.New("the password hash is not of argon2id, bcrypt or SHA-512-crypt: make one with xoauthd hash-password")
}

func parseArgon2id(hash string) (cost, error) {
	params, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return cost{}, errBroken
	}
	// DecodeHash passes over what stands behind the parameters, and a key that is
	// no whole number of blocks was cut.
	encode := base64.RawStdEncoding.EncodeToString
	again := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		params.Memory, params.Iterations, params.Parallelism, encode(salt), encode(key))
	switch {
	case again != hash, len(key)%8 != 0:
		return cost{}, errBroken
	case params.Iterations < 1 || params.Parallelism < 1 || params.SaltLength < 8 || params.KeyLength < 16:
		return cost{}, errors.New("the password hash is too weak: make one with xoauthd hash-password")
	case params.Memory > maxMemory || params.Iterations > maxPasses || params.SaltLength > 64 || params.KeyLength > 64:
		return cost{}, errCostly
	}
	return cost{kindArgon2id, int(params.Iterations), int(params.Memory), int(params.Parallelism)}, nil
}

// parseCrypt parses a hash of crypt(3), whose form has the passes as its group.
func parseCrypt(hash, kind string, form *regexp.Regexp, least, most int) (cost, error) {
	found := form.FindStringSubmatch(hash)
	if found == nil {
		return cost{}, errBroken
	}
	passes := defaultSHA512Rounds
	if found[1] != "" {
		passes, _ = strconv.Atoi(found[1]) // which are digits, and few
	}
	switch {
	case passes < least:
		return cost{}, errBroken
	case passes > most:
		return cost{}, errCostly
	}
	return cost{kind: kind, passes: passes}, nil
}

var (
	errBroken = errors.New("the password hash is cut short, or not whole: make one with xoauthd hash-password")
	errCostly = fmt.Errorf("the password hash is too costly (at most 1 GiB and %d passes of argon2id, cost %d of bcrypt, %d rounds of SHA-512-crypt): make one with xoauthd hash-password",
		maxPasses, maxBcryptCost, maxSHA512Rounds)
)

// compareHash reports whether a hash that parseHash took is that of password. It
// takes as long whether or not.
func compareHash(password, hash string) (bool, error) {
	switch {
	case strings.HasPrefix(hash, kindBcrypt):
		// What bcrypt does not look at, or takes for the end of the password, must
		// not be free to choose.
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

// noPassword is a hash that no password has, of cost c. It is not computed, so
// that a daemon which is at rest need not have had the memory.
func noPassword(c cost) string {
	random := rand.Text() + rand.Text() + rand.Text() + rand.Text()
	switch c.kind {
	case kindBcrypt:
		return fmt.Sprintf("$2a$%02d$%s", c.passes, random[:53])
	case kindSHA512:
		return fmt.Sprintf("$6$rounds=%d$%s$%s", c.passes, random[:16], random[16:102])
	}
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", c.memory, c.passes, c.lanes, random[:16], random[16:48])
}

// A budget is how many hashes of each cost every check makes, whatever name it is
// for.
type budget map[cost]int

// newBudget returns what covers every user name, whose costs are given. If that
// is more than maxHashes, the costs that the most names have come first.
func newBudget(names []budget) budget {
	most, spread := budget{}, budget{}
	for _, name := range names {
		for c, n := range name {
			most[c] = max(most[c], n)
			spread[c]++
		}
	}
	if len(most) == 0 {
		p := hashParams()
		return budget{{kindArgon2id, int(p.Iterations), int(p.Memory), int(p.Parallelism)}: 1}
	}
	costs := slices.SortedFunc(maps.Keys(most), func(a, b cost) int { return spread[b] - spread[a] })
	left := maxHashes
	for _, c := range costs {
		most[c] = min(most[c], left)
		left -= most[c]
	}
	return most
}

// rest returns what is left of b once spent is taken from it: hashes that no
// password has.
func (b budget) rest(spent budget) (decoys []string) {
	for c, n := range b {
		for range n - spent[c] {
			decoys = append(decoys, noPassword(c))
		}
	}
	return decoys
}
