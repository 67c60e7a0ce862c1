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
	// maxHosts bounds for how many hosts the password of one login is remembered,
	// and maxSavedHosts how many of these survive a restart: the latest.
	maxHosts      = 256
	maxSavedHosts = 16

	// maxSaved bounds the saved hosts of all logins, to some MB.
	maxSaved = 50_000

	// hintValues is how many values a hint has. A hint is saved to disk, and checked
	// without the slow hash: whoever gets the disk and its key can discard all but
	// one of so many guesses at once. It must not be more, and need not be: an
	// attacker who comes from the same host as the client gets one of so many
	// guesses to the head of the queue.
	hintValues = 16
)

// A memory is what is known of the password of a login since it was last right. A
// Checker's mu guards it.
type memory struct {
	mac   *[sha256.Size]byte // of the password; nil if it was not right since the start
	hint  *byte              // of the password; nil if it was never right
	hosts []string           // that it came from, the latest first
}

// keys are those of the MACs, which never leave the process, and of the hints.
type keys struct{ mac, hint []byte }

func newKeys() keys {
	k := keys{mac: make([]byte, sha256.Size), hint: make([]byte, sha256.Size)}
	rand.Read(k.mac) // never fails
	rand.Read(k.hint)
	return k
}

// loginID identifies a login by its user name and hash, and reveals neither.
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

// recognize returns the login of u that a opens with a password that was right
// before, from the same host, since the start of the process. If there is none, it
// reports whether one of before the start is likely to be opened.
//
// A password is recognized only for its host: an attacker elsewhere could otherwise
// tell a right guess from a wrong one by how fast the answer comes. For the same
// reason a login that denies a is not recognized.
func (c *Checker) recognize(u *user, host string, a Attempt) (found *login, likely bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range u.logins {
		switch {
		case !slices.Contains(l.hosts, host):
		case l.memory.mac == nil:
			likely = likely || *l.hint == l.hintOf(c.keys.hint, a.Password)
		default:
			mac := l.mac(c.keys.mac, a.Password)
			if found == nil && hmac.Equal(l.memory.mac[:], mac[:]) && l.denied(a) == nil {
				found = l
			}
		}
	}
	return found, likely
}

// remember notes that password opened l from a host.
func (c *Checker) remember(l *login, host, password string) {
	mac, hint := l.mac(c.keys.mac, password), l.hintOf(c.keys.hint, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.memory.hint == nil || !slices.Contains(l.hosts, host) {
		c.unsaved = true
	}
	l.memory.mac, l.memory.hint = &mac, &hint
	l.hosts = slices.DeleteFunc(l.hosts, func(h string) bool { return h == host })
	l.hosts = slices.Insert(l.hosts, 0, host)
	l.hosts = l.hosts[:min(len(l.hosts), maxHosts)]
}

// A state is what a Checker leaves to that of the next process.
type state struct {
	Version int                   `json:"version"`
	Key     []byte                `json:"key"` // of the hints
	Logins  map[string]savedLogin `json:"logins"`
}

type savedLogin struct {
	Hint  byte     `json:"hint"`
	Hosts []string `json:"hosts"`
}

const stateVersion = 1

// Save calls write with what Restore takes, if there is anything that was not
// written yet. Logins that are not configured any more are not in it.
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

// encode returns the state, or nil if it is saved.
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
				s.Logins[l.id] = savedLogin{*l.memory.hint, l.hosts[:n]}
			}
		}
	}
	return json.Marshal(s)
}

// Restore takes over what Save has written. A login whose hash was changed since then
// is as if it had never been used. Restore must be called before Check.
func (c *Checker) Restore(data []byte) error {
	var s state
	switch err := json.Unmarshal(data, &s); {
	case err != nil: // the error may quote the data
		return errors.New("it is damaged")
	case s.Version != stateVersion:
		return fmt.Errorf("it has format %d, and this xoauthd reads format %d", s.Version, stateVersion)
	case len(s.Key) != sha256.Size:
		return errors.New("it is damaged")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys.hint = s.Key
	for _, u := range c.users {
		for _, l := range u.logins {
			if saved, ok := s.Logins[l.id]; ok && len(saved.Hosts) > 0 {
				l.memory = memory{hint: &saved.Hint, hosts: saved.Hosts[:min(len(saved.Hosts), maxSavedHosts)]}
			}
		}
	}
	return nil
}
