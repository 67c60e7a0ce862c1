package authorize

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

const (
	// attemptLife is how long a person may take at the provider (RFC 9700
	// wants it short; a second factor may have to be looked for), and then
	// how long the result can be looked at.
	attemptLife = 10 * time.Minute

	// maxDeviceLife is how long a code for a device is waited for, if the
	// provider lets it live so long. Fifteen minutes are usual.
	maxDeviceLife = 30 * time.Minute

	// maxAttempts bounds the memory that strangers can take by beginning
	// authorizations, maxAttemptsEach what they can do so to the attempts of
	// other accounts. The oldest goes first.
	maxAttempts     = 256
	maxAttemptsEach = 16

	// maxDevicesEach spares the provider: each is asked for every few seconds.
	maxDevicesEach = 1
)

// Why an answer of the provider is not followed.
var (
	errUnknown      = errors.New("unknown or expired state")
	errOtherBrowser = errors.New("begun in another browser")
	errUsed         = errors.New("callback used before")
)

// A stage is how far an attempt has come.
type stage int

const (
	pending stage = iota // the person is at the provider
	running              // the provider has answered, and that is being used
	done
)

// An attempt is one authorization by the pages, from the button to the result.
// What may change after begin is guarded by the mutex of attempts.
type attempt struct {
	account *account
	cookie  string // name of the one that binds the browser

	// One of the two, for the way it goes.
	code   *Attempt
	device *auth.Device
	drop   context.CancelFunc // ends the wait for device

	id      string // names the result's page
	browser string // value of the cookie
	life    time.Duration
	expires time.Time
	stage   stage
	outcome Outcome // when done
}

// holds reports whether r comes from the browser that began the attempt.
func (t *attempt) holds(r *http.Request) bool {
	for _, c := range r.CookiesNamed(t.cookie) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(t.browser)) == 1 {
			return true
		}
	}
	return false
}

// attempts are kept in memory only, the oldest first: they are few.
type attempts struct {
	mu  sync.Mutex
	all []*attempt
}

// begin lets t begin for the browser that sent r. One browser has one cookie,
// so that the attempts of two tabs do not undo each other.
func (s *attempts) begin(t *attempt, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	t.id, t.browser = rand.Text(), rand.Text()
	t.expires = time.Now().Add(t.life)
	maxEach := maxAttemptsEach
	if t.device != nil {
		maxEach = maxDevicesEach
	}
	var same []*attempt // attempts for this account, by the same way
	for _, u := range s.all {
		if u.account == t.account && (u.device == nil) == (t.device == nil) {
			same = append(same, u)
		}
		if u.cookie == t.cookie && u.holds(r) { // a value that was given out here
			t.browser = u.browser
		}
	}
	switch {
	case len(same) >= maxEach:
		s.remove(func(u *attempt) bool { return u == same[0] })
	case len(s.all) >= maxAttempts:
		oldest := s.all[0]
		s.remove(func(u *attempt) bool { return u == oldest })
	}
	s.all = append(s.all, t)
}

// take gives the attempt that r brings the provider's answer to, once. With
// errUsed it gives it too, for its result.
func (s *attempts) take(state string, r *http.Request) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if t.code == nil || subtle.ConstantTimeCompare([]byte(t.code.state), []byte(state)) != 1 {
			continue
		}
		switch {
		case !t.holds(r):
			return t, errOtherBrowser
		case t.stage != pending:
			return t, errUsed
		}
		t.run()
		return t, nil
	}
	return nil, errUnknown
}

// answered notes that the provider has answered t.
func (s *attempts) answered(t *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.run()
}

func (t *attempt) run() {
	t.stage = running
	t.expires = time.Now().Add(attemptLife)
}

// finish keeps what came of t.
func (s *attempts) finish(t *attempt, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.expires = time.Now().Add(attemptLife)
	t.stage, t.outcome = done, o
}

// find returns the attempt whose result r asks for, or nil, and how it stands.
// While a code for a device is waited for, that is its result.
func (s *attempts) find(id string, r *http.Request) (*attempt, stage, Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if t.id == id && (t.stage != pending || t.device != nil) && t.holds(r) {
			return t, t.stage, t.outcome
		}
	}
	return nil, pending, Outcome{}
}

// expire drops what is too old.
func (s *attempts) expire() {
	now := time.Now()
	s.remove(func(t *attempt) bool { return now.After(t.expires) })
}

// remove drops the attempts that are so, and what waits for them.
func (s *attempts) remove(so func(*attempt) bool) {
	s.all = slices.DeleteFunc(s.all, func(t *attempt) bool {
		if !so(t) {
			return false
		}
		if t.drop != nil {
			t.drop()
		}
		return true
	})
}
