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
	// attemptLife is how long a person may take at the provider (RFC 9700 wants
	// it short; a second factor may have to be looked for), and then how long the
	// result can be looked at.
	attemptLife = 10 * time.Minute

	// resultLife is how long a result is kept even if others need its room: a
	// browser asks for it at once, and for a device's within seconds.
	resultLife = time.Minute

	// maxDeviceLife is how long a code for a device is waited for, if the
	// provider lets it live so long. Fifteen minutes are usual.
	maxDeviceLife = 30 * time.Minute

	// askPause is the least time between two codes for a device that one source
	// asks for, of one account.
	askPause = 5 * time.Second
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
	asking   stage = iota // the provider, for a device's code
	pending               // the person is at the provider
	running               // the provider has answered, and that is being used
	deciding              // the person, whether the grant shall replace the present one
	done
)

// An attempt is one authorization by the pages, from the button to the result.
// What may change after begin is guarded by the mutex of attempts.
type attempt struct {
	account *account
	cookie  string // name of the one that binds the browser
	source  string // who began it, as Config.Source tells

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
	outcome Outcome // when deciding or done
}

// heldBy reports whether the browser that sent the cookies began the attempt.
func (t *attempt) heldBy(sent cookies) bool {
	for _, value := range sent[t.cookie] {
		if subtle.ConstantTimeCompare([]byte(value), []byte(t.browser)) == 1 {
			return true
		}
	}
	return false
}

// awaits reports whether t waits for a device's code, or the person who enters it,
// for the account.
func (t *attempt) awaits(a *account) bool {
	return t.account == a && t.drop != nil && t.stage < deciding
}

// attempts are kept in memory only, the oldest first: they are few.
type attempts struct {
	mu  sync.Mutex
	all []*attempt
}

// begin registers t, which the browser that sent r begins, and returns it. If the
// browser has begun the same a moment ago, begin returns that attempt: a button was
// pressed twice. One browser has one cookie, so that the attempts of two tabs do
// not undo each other.
func (s *attempts) begin(t *attempt, r *http.Request) (*attempt, error) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	t.id, t.browser = rand.Text(), rand.Text()
	t.begun = time.Now()
	t.expires = t.begun.Add(t.life)
	for _, u := range s.all {
		if u.cookie == t.cookie && u.heldBy(browser) { // a value that was given out here
			t.browser = u.browser
		}
	}
	if t.drop != nil {
		if last := t.account.asked[t.source]; last != nil && t.begun.Sub(last.begun) < askPause {
			if last.heldBy(browser) {
				return last, nil
			}
			return nil, errTooSoon
		}
	}
	if err := s.makeRoom(t, browser); err != nil {
		return nil, err
	}
	if t.drop != nil {
		t.account.asks(t)
	}
	s.all = append(s.all, t)
	return t, nil
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
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if t.code == nil || subtle.ConstantTimeCompare([]byte(t.code.state), []byte(state)) != 1 {
			continue
		}
		switch {
		case !t.heldBy(browser):
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

// finish keeps what came of t. If that is a question, it is answered by decide, or
// no grant is kept.
func (s *attempts) finish(t *attempt, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.expires = time.Now().Add(attemptLife)
	t.stage, t.outcome = done, o
	if o.Candidate != nil {
		t.stage = deciding
		time.AfterFunc(attemptLife+time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.expire()
		})
	}
}

// decide returns the attempt whose question r answers, once, and the grant that it
// is about. The attempt is nil if there is none, and the grant if it is answered.
func (s *attempts) decide(id string, r *http.Request) (*attempt, *Candidate) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if t.id != id || !t.heldBy(browser) {
			continue
		}
		if t.stage != deciding {
			return t, nil
		}
		t.run()
		return t, t.outcome.Candidate
	}
	return nil, nil
}

// find returns the attempt whose result r asks for, or nil, and how it stands.
// While a code for a device is waited for, that is its result.
func (s *attempts) find(id string, r *http.Request) (*attempt, stage, Outcome) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, t := range s.all {
		if t.id == id && (t.stage != pending || t.drop != nil) && t.heldBy(browser) {
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
		if t.stage == deciding {
			t.outcome.Candidate.Drop()
		}
		return true
	})
}
