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

// The kinds of hashes, by prefix. htpasswd and PHP write $2y$ where other programs
// write $2b$. The older $2a$ is equivalent.
const (
	kindArgon2id = "$argon2id$"
	kindBcrypt   = "$2"
	kindSHA512   = "$6$"
)

// The limits of a hash's cost. They keep one hash below a few seconds, because
// unauthenticated clients cause xoauthd to compute it.
const (
	maxMemory     = 1 << 20 // argon2id, in KiB
	maxIterations = 100     // argon2id

	// The time of bcrypt doubles with each step of its cost. A cost of 14 takes about
	// a second. A cost of 5, the default of htpasswd and Dovecot, takes one or two
	// milliseconds.
	minBcryptCost, recommendedBcryptCost, maxBcryptCost = 4, 10, 14

	// A million rounds of SHA-512-crypt take about a second. crypt(3) uses at least a
	// thousand.
	minRounds, defaultRounds, maxRounds = 1000, 5000, 1_000_000
)

// The limits of argon2id salts and keys, in bytes. RFC 9106 section 3.1 allows a key of
// 4 bytes, but a random password matches such a key too easily, and every password
// matches an empty key.
const (
	minSalt, maxSalt = 8, 64
	minKey, maxKey   = 16, 64
)

// A cost holds the parameters that determine the time of a hash. All hashes of one cost
// take the same time.
type cost struct {
	kind          string
	iterations    int // for bcrypt, the binary logarithm
	memory, lanes int // argon2id only; memory in KiB
}

// The libraries that compare hashes also accept malformed hashes. These patterns do
// not.
var (
	bcryptHash = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)
	sha512Hash = regexp.MustCompile(`^\$6\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`)
)

// hashIDs are the prefixes of all supported hashes.
var hashIDs = []string{kindArgon2id, "$2a$", "$2b$", "$2y$", kindSHA512}

const makeNew = `make a new hash with "xoauthd hash-password"`

var errDamaged = errors.New("is cut short or damaged; copy it again, or " + makeNew)

// ParseHash checks a configured password hash and returns it without Dovecot's {SCHEME}
// prefix, which repeats the kind of the hash. The weakness is a sentence for a warning,
// or empty. The error does not quote text, which may be a password.
func ParseHash(text string) (hash, weakness string, err error) {
	hash = text
	if scheme, rest, found := strings.Cut(text, "}$"); found && strings.HasPrefix(scheme, "{") {
		hash = "$" + rest
	}
	c, err := parseHash(hash)
	if err == nil && c.kind == kindBcrypt && c.iterations < recommendedBcryptCost {
		weakness = fmt.Sprintf(`the bcrypt cost of %d is low: an attacker who reads the hash can soon guess a weak password; make a stronger hash with "htpasswd -B -C %d" or "xoauthd hash-password"`, c.iterations, recommendedBcryptCost)
	}
	return hash, weakness, err
}

// parseHash returns the cost of a hash. It refuses hashes that several passwords match
// and hashes whose cost would let any client overload the machine.
func parseHash(hash string) (cost, error) {
	switch id := hashID(hash); id {
	case "":
		return cost{}, describeUnsupported(hash)
	case kindArgon2id:
		return parseArgon2id(hash)
	case kindSHA512:
		return parseSHA512(hash)
	default:
		return parseBcrypt(hash)
	}
}

// hashID returns the prefix of hash that is in hashIDs, or "".
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
	// DecodeHash ignores text after the parameters. Encode the result again to find it.
	encode := base64.RawStdEncoding.EncodeToString
	encoded := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		p.Memory, p.Iterations, p.Parallelism, encode(salt), encode(key))
	switch {
	case encoded != hash, len(key)%8 != 0:
		return cost{}, errDamaged
	case p.Iterations == 0, p.Parallelism == 0, len(salt) < minSalt, len(salt) > maxSalt, len(key) < minKey, len(key) > maxKey:
		return cost{}, errors.New("is an argon2id hash with unusual parameters; " + makeNew)
	case p.Memory > maxMemory:
		return cost{}, fmt.Errorf("needs %d KiB of memory (m) for each login, and the limit is %d; %s", p.Memory, maxMemory, makeNew)
	case p.Iterations > maxIterations:
		return cost{}, fmt.Errorf("needs %d iterations (t) for each login, and the limit is %d; %s", p.Iterations, maxIterations, makeNew)
	}
	return cost{kindArgon2id, int(p.Iterations), int(p.Memory), int(p.Parallelism)}, nil
}

func parseBcrypt(hash string) (cost, error) {
	parts := bcryptHash.FindStringSubmatch(hash)
	if parts == nil {
		return cost{}, errDamaged
	}
	switch n, _ := strconv.Atoi(parts[1]); { // two digits
	case n < minBcryptCost: // no program makes such a hash
		return cost{}, errDamaged
	case n > maxBcryptCost:
		return cost{}, fmt.Errorf("has a bcrypt cost of %d, so each login would take seconds; the limit is %d; %s", n, maxBcryptCost, makeNew)
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
		return cost{}, fmt.Errorf("has %d rounds, and the limits are %d and %d; %s", rounds, minRounds, maxRounds, makeNew)
	}
	return cost{kind: kindSHA512, iterations: rounds}, nil
}

// unsupportedHashes explains common kinds of hashes that xoauthd does not support, by
// prefix. The first match counts.
var unsupportedHashes = []struct{ id, what string }{
	{"$argon2i$", "is an argon2i hash, not argon2id; " + makeNew},
	{"$argon2d$", "is an argon2d hash, not argon2id; " + makeNew},
	{"$2$", "is an obsolete kind of bcrypt hash; " + makeNew},
	{"$2x$", "is an obsolete kind of bcrypt hash; " + makeNew},
	{"$apr1$", "is an MD5 hash, the default of htpasswd, and its password is easily guessed; " + makeNew},
	{"$1$", "is an MD5-crypt hash, and its password is easily guessed; " + makeNew},
	{"$5$", "is a SHA-256-crypt hash, and xoauthd supports only SHA-512-crypt; " + makeNew},
	{"$y$", "is a yescrypt hash, as in /etc/shadow, which xoauthd does not support; " + makeNew},
	{"$gy$", "is a yescrypt hash, which xoauthd does not support; " + makeNew},
	{"$7$", "is a scrypt hash, which xoauthd does not support; " + makeNew},
	{"$", "is an unknown kind of hash; " + makeNew},
	{"{SSHA", "is a salted SHA hash, as in LDAP, and its password is easily guessed; " + makeNew},
	{"{SHA", "is a SHA hash without salt, and its password is easily guessed; " + makeNew},
	{"{PLAIN}", `is the password itself; make a hash of it with "xoauthd hash-password"`},
	{"{CLEARTEXT}", `is the password itself; make a hash of it with "xoauthd hash-password"`},
	{"{", "has an unknown scheme; " + makeNew},
}

// describeUnsupported explains why hash is not a supported hash.
func describeUnsupported(hash string) error {
	for _, other := range unsupportedHashes {
		if strings.HasPrefix(hash, other.id) {
			return errors.New(other.what)
		}
	}
	for _, id := range hashIDs {
		switch {
		case strings.Contains(hash, `"`+id), strings.Contains(hash, `'`+id):
			return errors.New("has more text than the hash; write only the text between the quotes")
		case strings.Contains(hash, id):
			return errors.New("has text before the hash; the hash begins with " + id)
		}
	}
	switch {
	case hash == "":
		return errors.New(`must not be empty; make one with "xoauthd hash-password"`)
	case strings.Contains(hash, ",t="):
		return errors.New("has lost its $ parts because the shell expanded them; put the hash in single quotes, or paste it with an editor")
	}
	return errors.New(`is not a password hash; if it is the password itself, make a hash of it with "xoauthd hash-password"`)
}
