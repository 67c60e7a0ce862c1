package password

import (
	"errors"
	"strings"
)

// unsupportedHashes explains common kinds of hashes that xoauthd does not support, by
// prefix. The first match counts.
var unsupportedHashes = []struct{ id, what string }{
	{"$argon2i$", "is an argon2i hash, not argon2id; " + makeNew},
	{"$argon2d$", "is an argon2d hash, not argon2id; " + makeNew},
	{"$2$", "is an obsolete kind of bcrypt hash; " + makeNew},
	{"$2x$", "is an obsolete kind of bcrypt hash; " + makeNew},
	{"$apr1$", "is an MD5 hash, the default of htpasswd, and its password is easily guessed; " + makeNew},
	{"$1$", "is an MD5-crypt hash, and its password is easily guessed; " + makeNew},
	{"$gy$", "is a gost-yescrypt hash, which xoauthd does not support; " + makeNew},
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
