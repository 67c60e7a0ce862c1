package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

const (
	// maxHosts is the number of hosts that the cache keeps for one login. Save writes
	// only the latest maxSavedHosts of them.
	maxHosts      = 256
	maxSavedHosts = 16

	// maxSaved limits the saved hosts of all logins, to a few megabytes of state.
	maxSaved = 50_000

	// hintValues is the number of different hints. A hint is saved to disk and checked
	// without the slow hash, so an attacker with the disk and its key can discard all
	// but one in hintValues guesses at once. A larger number would reveal more of the
	// password. A smaller number would let an attacker on the client's own host move
	// more guesses to the head of the queue.
	hintValues = 16
)

// A cachedPassword identifies the last correct password of a login. The mu of the
// Checker guards it. The zero value holds no password.
type cachedPassword struct {
	mac   *[sha256.Size]byte // MAC of the password; nil until it is correct in this process
	hint  *byte              // hint of the password; nil until it is correct for the first time
	hosts []string           // hosts that sent the password, latest first
}

// keys holds the key of the MACs, which never leaves the process, and the key of the
// hints.
type keys struct{ mac, hint []byte }

func newKeys() keys {
	k := keys{mac: make([]byte, sha256.Size), hint: make([]byte, sha256.Size)}
	rand.Read(k.mac) // never fails
	rand.Read(k.hint)
	return k
}

// loginID returns an identifier of a login that reveals neither its user name nor its
// hash. It changes when one of them changes.
func loginID(name, hash string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(name), name, hash))
	return hex.EncodeToString(sum[:12])
}

func (l *login) mac(key []byte, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(l.id))))
	h.Write([]byte(l.id))
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

func (l *login) hintOf(key []byte, password string) byte {
	sum := l.mac(key, password)
	return sum[0] % hintValues
}

// cached returns the login of u whose cached password a has sent from the same host. If
// there is none, likely reports whether the password of a matches the hint of a login
// that Restore has loaded.
//
// A cache entry is valid only for its host. Otherwise an attacker on another host could
// tell a correct guess by its fast reply. For the same reason cached ignores a login
// that denies a.
func (c *Checker) cached(u *user, host string, a Attempt) (found *login, likely bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range u.logins {
		switch {
		case !slices.Contains(l.hosts, host):
		case l.cachedPassword.mac == nil:
			likely = likely || *l.hint == l.hintOf(c.keys.hint, a.Password)
		default:
			mac := l.mac(c.keys.mac, a.Password)
			if found == nil && hmac.Equal(l.cachedPassword.mac[:], mac[:]) && l.denied(a) == nil {
				found = l
			}
		}
	}
	return found, likely
}

// remember caches password for l and host.
func (c *Checker) remember(l *login, host, password string) {
	mac, hint := l.mac(c.keys.mac, password), l.hintOf(c.keys.hint, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.cachedPassword.hint == nil || !slices.Contains(l.hosts, host) {
		c.unsaved = true
	}
	l.cachedPassword.mac, l.cachedPassword.hint = &mac, &hint
	l.hosts = slices.DeleteFunc(l.hosts, func(h string) bool { return h == host })
	l.hosts = slices.Insert(l.hosts, 0, host)
	l.hosts = l.hosts[:min(len(l.hosts), maxHosts)]
}

// A state is the part of a Checker's cache that survives a restart.
type state struct {
	Version int                   `json:"version"`
	Key     []byte                `json:"key"`    // key of the hints
	Logins  map[string]savedLogin `json:"logins"` // by login.id
}

type savedLogin struct {
	Hint  byte     `json:"hint"`
	Hosts []string `json:"hosts"`
}

const stateVersion = 1

// Save calls write with the state for Restore, unless the last Save has written the
// same state. The state holds only configured logins.
func (c *Checker) Save(write func(data []byte) error) error {
	data, err := c.encode()
	if data == nil || err != nil {
		return err
	}
	if err := write(data); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unsaved = true
		return err
	}
	return nil
}

// encode returns the state as JSON, or nil if it is already saved.
func (c *Checker) encode() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.unsaved {
		return nil, nil
	}
	c.unsaved = false
	s := state{Version: stateVersion, Key: c.keys.hint, Logins: make(map[string]savedLogin)}
	left := maxSaved
	for _, u := range c.users {
		for _, l := range u.logins {
			if n := min(len(l.hosts), maxSavedHosts, left); n > 0 {
				left -= n
				s.Logins[l.id] = savedLogin{*l.cachedPassword.hint, l.hosts[:n]}
			}
		}
	}
	return json.Marshal(s)
}

// Restore loads a state that Save has written. It ignores logins whose hash has changed
// since. Call Restore before the first Check.
func (c *Checker) Restore(data []byte) error {
	var s state
	switch err := json.Unmarshal(data, &s); {
	case err != nil: // not wrapped: the error may quote the data
		return errors.New("the state is damaged")
	case s.Version != stateVersion:
		return fmt.Errorf("the state has format %d, but this xoauthd reads format %d", s.Version, stateVersion)
	case len(s.Key) != sha256.Size:
		return errors.New("the state is damaged")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys.hint = s.Key
	for _, u := range c.users {
		for _, l := range u.logins {
			if saved, ok := s.Logins[l.id]; ok && len(saved.Hosts) > 0 {
				l.cachedPassword = cachedPassword{hint: &saved.Hint, hosts: saved.Hosts[:min(len(saved.Hosts), maxSavedHosts)]}
			}
		}
	}
	return nil
}
