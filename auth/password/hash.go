package password

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// The kinds of hashes, by prefix. htpasswd and PHP write $2y$ where other programs
// write $2b$. The older $2a$ is equivalent.
const (
	kindArgon2id = "$argon2id$"
	kindBcrypt   = "$2"
	kindSHA256   = "$5$"
	kindSHA512   = "$6$"
	kindYescrypt = "$y$"
)

// hashIDs are the prefixes of all supported hashes.
var hashIDs = []string{kindArgon2id, "$2a$", "$2b$", "$2y$", kindYescrypt, kindSHA512, kindSHA256}

// The limits of a hash's cost. They keep one hash below a few seconds, because
// unauthenticated clients cause xoauthd to compute it.
const (
	maxMemory     = 1 << 20 // argon2id, in KiB
	maxIterations = 100     // argon2id
	maxLanes      = 255     // argon2id

	// The time of bcrypt doubles with each step of its cost. A cost of 14 takes about
	// a second. A cost of 5, the default of htpasswd and Dovecot, takes one or two
	// milliseconds.
	minBcryptCost, recommendedBcryptCost, maxBcryptCost = 4, 10, 14

	// A million rounds of SHA-crypt take about a second. crypt(3) uses at least a
	// thousand.
	minRounds, defaultRounds, maxRounds = 1000, 5000, 1_000_000

	// The binary logarithm of N, and the greatest r, of the yescrypt hashes that
	// xoauthd accepts. A hash takes 128*N*r bytes of memory. The highest of them take about
	// two seconds and 128 MiB. Debian hashes with N = 12 and r = 32.
	minYescryptN, maxYescryptN, maxYescryptR = 10, 15, 32
)

// The limits of salts and of argon2id keys, in bytes. RFC 9106 section 3.1 allows a key
// of 4 bytes, but a random password matches such a key too easily, and every password
// matches an empty key.
const (
	minSalt, maxSalt = 8, 64
	minKey, maxKey   = 16, 64
)

// A cost holds the parameters that determine the time of a hash. All hashes of one cost
// take the same time.
type cost struct {
	kind          string
	iterations    int // for bcrypt and yescrypt, the binary logarithm
	memory, lanes int // argon2id: memory in KiB; yescrypt: memory is r
}

// The libraries that compare hashes also accept malformed hashes. These patterns do
// not. Their groups are the parameters of the cost.
var patterns = map[string]*regexp.Regexp{
	kindArgon2id: regexp.MustCompile(`^\$argon2id\$v=19\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,10})\$[^$]*\$[^$]+$`),
	kindBcrypt:   regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`),
	kindSHA256:   regexp.MustCompile(`^\$5\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}$`),
	kindSHA512:   regexp.MustCompile(`^\$6\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`),
	kindYescrypt: regexp.MustCompile(`^\$y\$j([./0-9A-Za-z])([./0-9A-Za-z])\$[./0-9A-Za-z]+\$[./0-9A-Za-z]{43}$`),
}

const makeNew = `make a new hash with "xoauthd hash-password"`

var (
	errDamaged = errors.New("is cut short or damaged; copy it again, or " + makeNew)
	errUnusual = errors.New("has unusual parameters; " + makeNew)
)

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
	kind := kindOf(hash)
	if kind == "" {
		return cost{}, describeUnsupported(hash)
	}
	fields := patterns[kind].FindStringSubmatch(hash)
	if fields == nil {
		return cost{}, errDamaged
	}
	digest, err := decode(kind, hash)
	if err != nil {
		return cost{}, errDamaged
	}
	switch kind {
	case kindArgon2id:
		return argon2idCost(fields, digest.(*argon2.Digest), hash)
	case kindBcrypt:
		return bcryptCost(fields[1])
	case kindYescrypt:
		return yescryptCost(fields, digest.(*scrypt.Digest))
	}
	return shacryptCost(kind, fields[1])
}

// kindOf returns the kind of hash, or "" if it is not supported.
func kindOf(hash string) string {
	for _, id := range hashIDs {
		switch {
		case !strings.HasPrefix(hash, id):
		case strings.HasPrefix(id, kindBcrypt):
			return kindBcrypt
		default:
			return id
		}
	}
	return ""
}

// decode returns the digest of a hash. It accepts some malformed hashes.
func decode(kind, hash string) (algorithm.Digest, error) {
	switch kind {
	case kindArgon2id:
		return argon2.DecodeVariant(argon2.VariantID)(hash)
	case kindBcrypt:
		return bcrypt.DecodeVariant(bcrypt.VariantStandard)(hash)
	case kindYescrypt:
		return scrypt.DecodeVariant(scrypt.VariantYescrypt)(hash)
	case kindSHA256:
		return shacrypt.DecodeVariant(shacrypt.VariantSHA256)(hash)
	}
	return shacrypt.DecodeVariant(shacrypt.VariantSHA512)(hash)
}

func argon2idCost(fields []string, d *argon2.Digest, hash string) (cost, error) {
	memory, iterations, lanes := number(fields[1]), number(fields[2]), number(fields[3])
	salt, key := len(d.Salt()), len(d.Key())
	switch {
	case key%8 != 0:
		return cost{}, errDamaged
	case iterations == 0, lanes == 0, lanes > maxLanes, salt < minSalt, salt > maxSalt, key < minKey, key > maxKey:
		return cost{}, errUnusual
	case d.Encode() != hash:
		return cost{}, errDamaged
	case memory > maxMemory:
		return cost{}, fmt.Errorf("needs %d KiB of memory (m) for each login, and the limit is %d; %s", memory, maxMemory, makeNew)
	case iterations > maxIterations:
		return cost{}, fmt.Errorf("needs %d iterations (t) for each login, and the limit is %d; %s", iterations, maxIterations, makeNew)
	}
	return cost{kindArgon2id, iterations, memory, lanes}, nil
}

func bcryptCost(field string) (cost, error) {
	switch n := number(field); {
	case n < minBcryptCost: // no program makes such a hash
		return cost{}, errDamaged
	case n > maxBcryptCost:
		return cost{}, fmt.Errorf("has a bcrypt cost of %d, so each login would take seconds; the limit is %d; %s", n, maxBcryptCost, makeNew)
	default:
		return cost{kind: kindBcrypt, iterations: n}, nil
	}
}

func yescryptCost(fields []string, d *scrypt.Digest) (cost, error) {
	n, r := cryptDigit(fields[1])+1, cryptDigit(fields[2])+1
	salt := len(d.Salt())
	switch {
	case salt < minSalt, salt > maxSalt, n < minYescryptN, r > maxYescryptR:
		return cost{}, errUnusual
	case n > maxYescryptN:
		return cost{}, fmt.Errorf("is a yescrypt hash of which each login would take seconds and %d MiB of memory; %s", r<<n>>13, makeNew)
	}
	return cost{kind: kindYescrypt, iterations: n, memory: r}, nil
}

func shacryptCost(kind, field string) (cost, error) {
	rounds := defaultRounds
	if field != "" {
		rounds = number(field)
	}
	if rounds < minRounds || rounds > maxRounds {
		return cost{}, fmt.Errorf("has %d rounds, and the limits are %d and %d; %s", rounds, minRounds, maxRounds, makeNew)
	}
	return cost{kind: kind, iterations: rounds}, nil
}

// number parses at most ten digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// cryptDigits are the digits of crypt(3), which yescrypt uses for its parameters.
const cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func cryptDigit(digit string) int { return strings.Index(cryptDigits, digit) }
