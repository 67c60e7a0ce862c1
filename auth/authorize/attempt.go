package authorize

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// attemptLife is how long a person may take at the provider (RFC 9700
	// wants it short; a second factor may have to be looked for), and then
	// how long the result can be looked at.
	attemptLife = 10 * time.Minute

	// maxAttempts bounds the memory that strangers can take by beginning
	// authorizations, maxAttemptsEach what they can do so to the attempts of
	// other accounts. The oldest goes first.
	maxAttempts     = 256
	maxAttemptsEach = 16
)

// Why a callback is not followed.
var (
	errUnknown      = errors.New("unknown or expired state")
	errOtherBrowser = errors.New("begun in another browser")
	errUsed         = errors.New("callback used before")
)

// A stage is how far an attempt has come.
type stage int

const (
	pending stage = iota // the browser is at the provider
	running              // it came back, and the code is being used
	done
)

// An attempt is one authorization, from the button to the result. What may
// change after begin is guarded by the mutex of attempts.
type attempt struct {
	account  *account
	id       string // names the result's page
	state    string
	verifier string
	browser  string // value of the cookie

	expires time.Time
	stage   stage
	result  *result // when done
}

// holds reports whether r comes from the browser that began the attempt.
func (t *attempt) holds(r *http.Request) bool {
	for _, c := range r.CookiesNamed(t.account.cookie) {
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

// begin makes an attempt for the browser that sent r. One browser has one
// cookie, so that the attempts of two tabs do not undo each other.
func (s *attempts) begin(a *account, r *http.Request) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	t := &attempt{
		account:  a,
		id:       rand.Text(),
		state:    rand.Text(), // 130 bits
		verifier: oauth2.GenerateVerifier(),
		browser:  rand.Text(),
		expires:  time.Now().Add(attemptLife),
	}
	var same []int // attempts for this account
	for i, u := range s.all {
		if u.account == a {
			same = append(same, i)
		}
		if u.account.cookie == a.cookie && u.holds(r) { // a value that was given out here
			t.browser = u.browser
		}
	}
	switch {
	case len(same) >= maxAttemptsEach:
		s.all = slices.Delete(s.all, same[0], same[0]+1)
	case len(s.all) >= maxAttempts:
		s.all = slices.Delete(s.all, 0, 1)
	}
	s.all = append(s.all, t)
	return t
}

// take gives the attempt that r is the callback of, once. With errUsed it
// gives it too, for its result.
func (s *attempts) take(state string, r *http.Request) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if subtle.ConstantTimeCompare([]byte(t.state), []byte(state)) != 1 {
			continue
		}
		switch {
		case !t.holds(r):
			return t, errOtherBrowser
		case t.stage != pending:
			return t, errUsed
		}
		t.stage = running
		t.expires = time.Now().Add(attemptLife)
		return t, nil
	}
	return nil, errUnknown
}

// finish keeps what came of t.
func (s *attempts) finish(t *attempt, res *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.verifier = ""
	t.expires = time.Now().Add(attemptLife)
	t.stage, t.result = done, res
}

// find returns the attempt whose result r asks for, and that result: nil while
// it is under way.
func (s *attempts) find(id string, r *http.Request) (*attempt, *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if t.id == id && t.stage != pending && t.holds(r) {
			return t, t.result
		}
	}
	return nil, nil
}

// expire drops what is too old.
func (s *attempts) expire() {
	now := time.Now()
	s.all = slices.DeleteFunc(s.all, func(t *attempt) bool { return now.After(t.expires) })
}
