package config

import (
	"encoding/base64"
	"errors"
	"fmt"
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

var errNotHash = errors.New(`is not an argon2id hash; make one with "xoauthd hash-password"`)

// checkHash says what is wrong with a password hash without showing it: it may
// be the password.
func checkHash(hash string) error {
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return whatElse(hash)
	}
	// DecodeHash passes over what stands before and behind the parameters.
	encode := base64.RawStdEncoding.EncodeToString
	again := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		p.Memory, p.Iterations, p.Parallelism, encode(salt), encode(key))
	switch {
	case again == hash && len(key)%8 != 0:
		return errors.New(`is cut short; copy the whole line that "xoauthd hash-password" has printed`)
	case again != hash:
		return whatElse(hash)
	case p.Iterations == 0, p.Parallelism == 0, len(salt) < minSalt, len(salt) > maxSalt, len(key) < minKey, len(key) > maxKey:
		return errNotHash
	case p.Memory > maxMemory:
		return fmt.Errorf(`each login would take %d KiB of memory (m), and %d is the most; make another with "xoauthd hash-password"`, p.Memory, maxMemory)
	case p.Iterations > maxIterations:
		return fmt.Errorf(`each login would take %d iterations (t), and %d is the most; make another with "xoauthd hash-password"`, p.Iterations, maxIterations)
	}
	return nil
}

// whatElse guesses what a hash is that is none.
func whatElse(hash string) error {
	const id = "$argon2id$"
	switch {
	case strings.HasPrefix(hash, id):
		return errors.New(`is cut short, or not whole; copy the whole line that "xoauthd hash-password" has printed`)
	case strings.Contains(hash, `"`+id), strings.Contains(hash, `'`+id):
		return errors.New("is more than the hash; write only what is between the quotes")
	case strings.Contains(hash, id):
		return errors.New("is more than the hash, which begins with " + id)
	case strings.HasPrefix(hash, "$"):
		return errors.New(`is a hash of another kind than argon2id; make one with "xoauthd hash-password"`)
	case strings.Contains(hash, ",t="):
		return errors.New("has lost its $ parts to the shell; write it in single quotes there, or paste it with an editor")
	}
	return errNotHash
}
