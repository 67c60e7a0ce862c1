package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/alexedwards/argon2id"
)

// What a password hash may cost: a check of it takes so much memory, in KiB,
// and goes over it so many times.
const (
	maxMemory     = 1 << 20 // 1 GiB
	maxIterations = 100
)

// RFC 9106 section 3.1 allows a key of 4 octets. One that short is guessed, and
// none at all would match every password.
const (
	minSalt, maxSalt = 8, 64
	minKey, maxKey   = 16, 64
)

// The cost of bcrypt doubles with each step: 14 takes a second or so, and 5, which
// htpasswd and Dovecot take unasked, a millisecond or two.
const usualCost, maxCost = 10, 14

// A million rounds of SHA-512-crypt take about a second. There are never fewer
// than a thousand.
const minRounds, maxRounds = 1000, 1_000_000

// What compares a password with these hashes also takes some that no password has.
var (
	bcryptHash = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)
	sha512Hash = regexp.MustCompile(`^\$6\$(?:rounds=(\d{1,9})\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}$`)
)

// hashIDs are what the hashes begin with that xoauthd can compare a password
// with.
var hashIDs = []string{"$argon2id$", "$2a$", "$2b$", "$2y$", "$6$"}

const another = `make another with "xoauthd hash-password"`

var errDamaged = errors.New("is cut short, or otherwise damaged; copy it again, or " + another)

// passwordHash never shows what it reads: it may be a password.
func (t *table) passwordHash() string {
	text, ok := value[string](t, "password_hash")
	if !ok {
		return ""
	}
	hash, doubt, err := parseHash(text)
	switch {
	case err != nil:
		t.fault("password_hash", "%v", err)
	case doubt != "":
		t.file.warn(t.line("password_hash"), "password_hash: %s", doubt)
	}
	return hash
}

// parseHash returns the password hash that text is, and what is doubtful of it.
// Dovecot's {SCHEME} before a hash tells nothing that its beginning does not, and
// is cut off. What is said does not show the hash: it may be the password.
func parseHash(text string) (hash, doubt string, err error) {
	hash = text
	if scheme, rest, found := strings.Cut(text, "}$"); found && strings.HasPrefix(scheme, "{") {
		hash = "$" + rest
	}
	switch id := hashID(hash); {
	case isElided(hash):
		err = errSampleHash
	case id == "":
		err = whatElse(hash)
	case id == "$argon2id$":
		err = checkArgon2id(hash)
	case id == "$6$":
		err = checkSHA512(hash)
	default:
		doubt, err = checkBcrypt(hash)
	}
	return hash, doubt, err
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

func checkArgon2id(hash string) error {
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return errDamaged
	}
	// DecodeHash passes over what stands behind the parameters.
	encode := base64.RawStdEncoding.EncodeToString
	again := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		p.Memory, p.Iterations, p.Parallelism, encode(salt), encode(key))
	switch {
	case again != hash, len(key)%8 != 0:
		return errDamaged
	case p.Iterations == 0, p.Parallelism == 0, len(salt) < minSalt, len(salt) > maxSalt, len(key) < minKey, len(key) > maxKey:
		return errors.New("is an argon2id hash with unusual parameters; " + another)
	case p.Memory > maxMemory:
		return fmt.Errorf("each login would take %d KiB of memory (m), and %d is the most; %s", p.Memory, maxMemory, another)
	case p.Iterations > maxIterations:
		return fmt.Errorf("each login would take %d iterations (t), and %d is the most; %s", p.Iterations, maxIterations, another)
	}
	return nil
}

func checkBcrypt(hash string) (doubt string, err error) {
	parts := bcryptHash.FindStringSubmatch(hash)
	if parts == nil {
		return "", errDamaged
	}
	switch cost, _ := strconv.Atoi(parts[1]); {
	case cost < 4: // no program makes one
		return "", errDamaged
	case cost > maxCost:
		return "", fmt.Errorf("each login would take seconds at a bcrypt cost of %d, and %d is the most; %s", cost, maxCost, another)
	case cost < usualCost:
		doubt = fmt.Sprintf(`the bcrypt cost of %d is low, and whoever gets hold of the hash soon has a weak password; "htpasswd -B -C %d" and "xoauthd hash-password" make better ones`, cost, usualCost)
	}
	return doubt, nil
}

func checkSHA512(hash string) error {
	parts := sha512Hash.FindStringSubmatch(hash)
	if parts == nil {
		return errDamaged
	}
	if parts[1] == "" {
		return nil // 5000 of them
	}
	if rounds, _ := strconv.Atoi(parts[1]); rounds < minRounds || rounds > maxRounds {
		return fmt.Errorf("has %d rounds, of which %d to %d are allowed; %s", rounds, minRounds, maxRounds, another)
	}
	return nil
}

// otherHashes are those that people have as well, by what they begin with.
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

// whatElse guesses what a hash is that is none.
func whatElse(hash string) error {
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
