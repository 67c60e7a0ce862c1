package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/alexedwards/argon2id"
)

// The kinds of hashes, by what they begin with. htpasswd and PHP write $2y$ for
// what others call $2b$; the old $2a$ is the same for all passwords.
const (
	kindArgon2id = "$argon2id$"
	kindBcrypt   = "$2"
	kindSHA512   = "$6$"
)

// What a password hash may cost: anybody who can connect makes xoauthd compute it.
// The limits keep one below some seconds.
const (
	maxMemory     = 1 << 20 // of argon2id, in KiB
	maxIterations = 100     // of argon2id

	// The cost of bcrypt doubles with each step: 14 takes a second or so, and 5,
	// the default of htpasswd and Dovecot, a millisecond or two.
	minBcryptCost, usualBcryptCost, maxBcryptCost = 4, 10, 14

	// A million rounds of SHA-512-crypt take about a second. crypt(3) makes no hash
	// with fewer than a thousand.
	minRounds, defaultRounds, maxRounds = 1000, 5000, 1_000_000
)

// RFC 9106 section 3.1 allows a key of 4 octets. One that short can be guessed, and
// an empty one would match every password.
const (
	minSalt, maxSalt = 8, 64
	minKey, maxKey   = 16, 64
)

// A cost is what it takes to compute a hash. Hashes of one cost take the same time.
type cost struct {
	kind          string
	iterations    int // of bcrypt, their logarithm
	memory, lanes int // of argon2id
}

// The libraries that compare hashes also accept malformed ones; these do not.
var (
	bcryptHash = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)
	sha512Hash = regexp.MustCompile(`^\$6\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`)
)

// hashIDs are the beginnings of all hashes that xoauthd can verify.
var hashIDs = []string{kindArgon2id, "$2a$", "$2b$", "$2y$", kindSHA512}

const another = `make another with "xoauthd hash-password"`

var errDamaged = errors.New("is cut short, or otherwise damaged; copy it again, or " + another)

// ParseHash returns the password hash that text is, and what is weak about it, if
// anything. It cuts off Dovecot's {SCHEME}, which says no more than the hash does.
// The error does not show the hash: it may be a password.
func ParseHash(text string) (hash, weakness string, err error) {
	hash = text
	if scheme, rest, found := strings.Cut(text, "}$"); found && strings.HasPrefix(scheme, "{") {
		hash = "$" + rest
	}
	c, err := parseHash(hash)
	if err == nil && c.kind == kindBcrypt && c.iterations < usualBcryptCost {
		weakness = fmt.Sprintf(`the bcrypt cost of %d is low, and whoever gets hold of the hash soon has a weak password; "htpasswd -B -C %d" and "xoauthd hash-password" make better ones`, c.iterations, usualBcryptCost)
	}
	return hash, weakness, err
}

// parseHash returns the cost of a hash. It refuses hashes that match too much, and
// those that cost so much that anybody could wear the machine down.
func parseHash(hash string) (cost, error) {
	switch id := hashID(hash); id {
	case "":
		return cost{}, describeOther(hash)
	case kindArgon2id:
		return parseArgon2id(hash)
	case kindSHA512:
		return parseSHA512(hash)
	default:
		return parseBcrypt(hash)
	}
}

// hashID returns that of the hashIDs with which hash begins, or "".
func hashID(hash string) string {
	for _, id := range hashIDs {
		if strings.HasPrefix(hash, id) {
			return id
		}
	}
	return ""
}

func parseArgon2id(hash string) (cost, error) {
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return cost{}, errDamaged
	}
	// DecodeHash passes over what stands behind the parameters.
	encode := base64.RawStdEncoding.EncodeToString
	again := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		p.Memory, p.Iterations, p.Parallelism, encode(salt), encode(key))
	switch {
	case again != hash, len(key)%8 != 0:
		return cost{}, errDamaged
	case p.Iterations == 0, p.Parallelism == 0, len(salt) < minSalt, len(salt) > maxSalt, len(key) < minKey, len(key) > maxKey:
		return cost{}, errors.New("is an argon2id hash with unusual parameters; " + another)
	case p.Memory > maxMemory:
		return cost{}, fmt.Errorf("each login would take %d KiB of memory (m), and %d is the most; %s", p.Memory, maxMemory, another)
	case p.Iterations > maxIterations:
		return cost{}, fmt.Errorf("each login would take %d iterations (t), and %d is the most; %s", p.Iterations, maxIterations, another)
	}
	return cost{kindArgon2id, int(p.Iterations), int(p.Memory), int(p.Parallelism)}, nil
}

func parseBcrypt(hash string) (cost, error) {
	parts := bcryptHash.FindStringSubmatch(hash)
	if parts == nil {
		return cost{}, errDamaged
	}
	switch n, _ := strconv.Atoi(parts[1]); { // two digits
	case n < minBcryptCost: // no program makes one
		return cost{}, errDamaged
	case n > maxBcryptCost:
		return cost{}, fmt.Errorf("each login would take seconds at a bcrypt cost of %d, and %d is the most; %s", n, maxBcryptCost, another)
	default:
		return cost{kind: kindBcrypt, iterations: n}, nil
	}
}

func parseSHA512(hash string) (cost, error) {
	parts := sha512Hash.FindStringSubmatch(hash)
	if parts == nil {
		return cost{}, errDamaged
	}
	rounds := defaultRounds
	if parts[1] != "" {
		rounds, _ = strconv.Atoi(parts[1]) // at most nine digits
	}
	if rounds < minRounds || rounds > maxRounds {
		return cost{}, fmt.Errorf("has %d rounds, of which %d to %d are allowed; %s", rounds, minRounds, maxRounds, another)
	}
	return cost{kind: kindSHA512, iterations: rounds}, nil
}

// otherHashes are other kinds that people have, by what they begin with.
var otherHashes = []struct{ id, what string }{
	{"$argon2i$", "is an argon2i hash, and not argon2id; " + another},
	{"$argon2d$", "is an argon2d hash, and not argon2id; " + another},
	{"$2$", "is a bcrypt hash of a kind that was given up; " + another},
	{"$2x$", "is a bcrypt hash of a kind that was given up; " + another},
	{"$apr1$", "is an MD5 hash, which htpasswd makes unasked; " + another},
	{"$1$", "is an MD5-crypt hash, whose password is soon guessed; " + another},
	{"$5$", "is a SHA-256-crypt hash, and xoauthd compares those of SHA-512-crypt; " + another},
	{"$y$", "is a yescrypt hash, as in /etc/shadow, which xoauthd cannot compare; " + another},
	{"$gy$", "is a yescrypt hash, which xoauthd cannot compare; " + another},
	{"$7$", "is a scrypt hash, which xoauthd cannot compare; " + another},
	{"$", "is a hash of a kind that xoauthd does not know; " + another},
	{"{SSHA", "is a salted SHA hash, as in LDAP, whose password is soon guessed; " + another},
	{"{SHA", "is a SHA hash without salt, whose password is soon guessed; " + another},
	{"{PLAIN}", `is the password itself; make a hash of it with "xoauthd hash-password"`},
	{"{CLEARTEXT}", `is the password itself; make a hash of it with "xoauthd hash-password"`},
	{"{", "has a scheme that xoauthd does not know; " + another},
}

// describeOther explains a value that is not a hash of a supported kind.
func describeOther(hash string) error {
	for _, other := range otherHashes {
		if strings.HasPrefix(hash, other.id) {
			return errors.New(other.what)
		}
	}
	for _, id := range hashIDs {
		switch {
		case strings.Contains(hash, `"`+id), strings.Contains(hash, `'`+id):
			return errors.New("is more than the hash; write only what is between the quotes")
		case strings.Contains(hash, id):
			return errors.New("is more than the hash, which begins with " + id)
		}
	}
	switch {
	case hash == "":
		return errors.New(`must not be empty; make one with "xoauthd hash-password"`)
	case strings.Contains(hash, ",t="):
		return errors.New("has lost its $ parts to the shell; write it in single quotes there, or paste it with an editor")
	}
	return errors.New(`is not a password hash; if it is the password itself, make a hash of it with "xoauthd hash-password"`)
}
