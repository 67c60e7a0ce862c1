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
	// other accounts. The oldest goes first, but none that is being worked on.
	maxAttempts     = 256
	maxAttemptsEach = 16

	// maxDevicesEach spares the provider, which is asked for each code every
	// few seconds, and askPause does so for the codes themselves. There is
	// room for more than one: whoever reaches the page must not be able to
	// end what another has begun.
	maxDevicesEach = 3
	askPause       = 5 * time.Second
)

// Why an attempt cannot begin.
var (
	errTooSoon = errors.New("a code was asked for just now")
	errNoRoom  = errors.New("too many are under way")
)

// Why an answer of the provider is not followed.
var (
	errUnknown      = errors.New("unknown or expired state")
	errOtherBrowser = errors.New("begun in another browser")
	errOtherAccount = errors.New("begun for another account")
	errUsed         = errors.New("callback used before")
)

// A stage is how far an attempt has come.
type stage int

const (
	asking  stage = iota // the provider, for a device's code
	pending              // the person is at the provider
	running              // the provider has answered, and that is being used
	done
)

// An attempt is one authorization by the pages, from the button to the result.
// What may change after begin is guarded by the mutex of attempts.
type attempt struct {
	account *account
	cookie  string // name of the one that binds the browser

	// What is there tells the way it goes.
	code   *Attempt
	drop   context.CancelFunc // ends the wait for device
	device *auth.Device       // from pending on

	id      string // names the result's page
	browser string // value of the cookie
	life    time.Duration
	begun   time.Time
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

// idle reports whether t can go to make room: nobody works on it, nor has anybody
// its code to enter.
func (t *attempt) idle() bool { return t.stage == done || t.stage == pending && t.drop == nil }

// sameWait reports whether u is a device's that is waited for, as t is.
func (t *attempt) sameWait(u *attempt) bool {
	return u.account == t.account && u.drop != nil && u.stage != done
}

// attempts are kept in memory only, the oldest first: they are few.
type attempts struct {
	mu  sync.Mutex
	all []*attempt
}

// begin lets t begin for the browser that sent r, and returns it. It returns the
// one before if that was begun just now by the same browser: a button was pressed
// twice. One browser has one cookie, so that the attempts of two tabs do not undo
// each other.
func (s *attempts) begin(t *attempt, r *http.Request) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	t.id, t.browser = rand.Text(), rand.Text()
	t.begun = time.Now()
	t.expires = t.begun.Add(t.life)
	for _, u := range s.all {
		if u.cookie == t.cookie && u.holds(r) { // a value that was given out here
			t.browser = u.browser
		}
	}
	if t.drop != nil {
		if last := t.account.asked; last != nil && t.begun.Sub(last.begun) < askPause {
			if last.holds(r) {
				return last, nil
			}
			return nil, errTooSoon
		}
		if !s.free(maxDevicesEach, t.sameWait, func(u *attempt) bool { return u.stage == pending && u.holds(r) }) {
			return nil, errNoRoom
		}
	}
	if !s.free(maxAttemptsEach, func(u *attempt) bool { return u.account == t.account }, (*attempt).idle) ||
		!s.free(maxAttempts, func(*attempt) bool { return true }, (*attempt).idle) {
		return nil, errNoRoom
	}
	if t.drop != nil {
		t.account.asked = t
	}
	s.all = append(s.all, t)
	return t, nil
}

// free makes room for one more attempt among those that are so, of which there
// may be most: the oldest goes that may. It reports whether there is room.
func (s *attempts) free(most int, so, may func(*attempt) bool) bool {
	n, oldest := 0, (*attempt)(nil)
	for _, u := range s.all {
		if !so(u) {
			continue
		}
		n++
		if oldest == nil && may(u) {
			oldest = u
		}
	}
	if n < most {
		return true
	}
	s.remove(func(u *attempt) bool { return u == oldest })
	return oldest != nil
}

// given notes that the provider has given t the code for a device.
func (s *attempts) given(t *attempt, d *auth.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.device, t.stage = d, pending
}

// take gives the attempt that r brings the provider's answer to, once. It is for
// the account only, or for any if that is nil. All errors but errUnknown are about
// an attempt, and come with it.
func (s *attempts) take(state string, r *http.Request, only *account) (*attempt, error) {
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
		case only != nil && t.account != only:
			return t, errOtherAccount
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
		if t.id == id && (t.stage != pending || t.drop != nil) && t.holds(r) {
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
