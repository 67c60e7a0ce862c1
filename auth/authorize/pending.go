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

	"github.com/xoauthd/xoauthd/auth/oauth"
)

const (
	// pendingLifetime is the time for a person to consent at the provider, and then
	// the time for which the result is shown. RFC 9700 recommends a short lifetime, but
	// a person may need some minutes to find a second factor.
	pendingLifetime = 10 * time.Minute

	// minResultLifetime is the time for which a result is kept even at the limits. A
	// browser requests its result at once, and that of a device code within seconds.
	minResultLifetime = time.Minute

	// maxDeviceLifetime limits the lifetime of a device code. Most providers choose 15
	// minutes.
	maxDeviceLifetime = 30 * time.Minute

	// deviceAuthInterval is the shortest interval between two device codes for the same
	// account and source.
	deviceAuthInterval = 5 * time.Second
)

// The reasons why xoauthd ignores a provider's response.
var (
	errUnknownState = errors.New("unknown or expired state")
	errOtherBrowser = errors.New("started in another browser")
	errOtherAccount = errors.New("started for another account")
	errUsed         = errors.New("response already used")
)

// A stage is the progress of a pendingAuthorization.
type stage int

const (
	requestingCode   stage = iota // xoauthd requests a device code from the provider
	awaitingConsent               // the person is at the provider
	completing                    // xoauthd processes the provider's response
	awaitingDecision              // the person decides whether to replace the present grant
	finished                      // the result is ready
)

// A pendingAuthorization is one authorization by the pages, from the button to the
// result. The mutex of pendingAuthorizations guards the fields that change after add.
type pendingAuthorization struct {
	account *account
	cookie  string // name of the cookie that binds the browser
	source  string // source of the request that started it, see Config.Source

	// Either codeFlow is set, or cancelPoll and device.
	codeFlow   *CodeFlow
	cancelPoll context.CancelFunc // stops the polling for the device code
	device     *oauth.Device      // set from awaitingConsent on

	id       string // part of the path of the result page
	browser  string // value of the cookie
	lifetime time.Duration
	started  time.Time
	expires  time.Time
	stage    stage
	result   Result // set from awaitingDecision on
}

// sameBrowser reports whether the cookies come from the browser that started p.
func (p *pendingAuthorization) sameBrowser(sent cookies) bool {
	for _, value := range sent[p.cookie] {
		if subtle.ConstantTimeCompare([]byte(value), []byte(p.browser)) == 1 {
			return true
		}
	}
	return false
}

// pollsFor reports whether p requests or polls for a device code for a.
func (p *pendingAuthorization) pollsFor(a *account) bool {
	return p.account == a && p.cancelPoll != nil && p.stage < awaitingDecision
}

// pendingAuthorizations holds all authorizations by the pages, oldest first. They are
// lost when the process ends.
type pendingAuthorizations struct {
	mu  sync.Mutex
	all []*pendingAuthorization
}

// add adds p, which the browser that sent r starts, and returns it. If the same browser
// requested a device code for the same account within deviceAuthInterval, add returns
// that authorization instead, because the person has pressed the button twice. All
// authorizations of one browser share a cookie, so that two tabs do not disturb each
// other. The error is errTooSoon or errLimit.
func (s *pendingAuthorizations) add(p *pendingAuthorization, r *http.Request) (*pendingAuthorization, error) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeExpired()
	p.id, p.browser = rand.Text(), rand.Text()
	p.started = time.Now()
	p.expires = p.started.Add(p.lifetime)
	for _, other := range s.all {
		if other.cookie == p.cookie && other.sameBrowser(browser) { // ignores cookies that xoauthd has not set
			p.browser = other.browser
		}
	}
	if p.cancelPoll != nil {
		if last := p.account.lastDeviceAuth[p.source]; last != nil && p.started.Sub(last.started) < deviceAuthInterval {
			if last.sameBrowser(browser) {
				return last, nil
			}
			return nil, errTooSoon
		}
	}
	if err := s.checkLimits(p, browser); err != nil {
		return nil, err
	}
	if p.cancelPoll != nil {
		p.account.noteDeviceAuth(p)
	}
	s.all = append(s.all, p)
	return p, nil
}

// setDevice sets the device code that the provider has issued for p.
func (s *pendingAuthorizations) setDevice(p *pendingAuthorization, d *oauth.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.device, p.stage = d, awaitingConsent
}

// claim returns the authorization of state for completion. It succeeds only once, only
// for the browser that started the authorization, and, if only is not nil, only for that
// account. Unless the error is errUnknownState, claim also returns the authorization
// with the error.
func (s *pendingAuthorizations) claim(state string, r *http.Request, only *account) (*pendingAuthorization, error) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeExpired()
	for _, p := range s.all {
		if p.codeFlow == nil || subtle.ConstantTimeCompare([]byte(p.codeFlow.state), []byte(state)) != 1 {
			continue
		}
		switch {
		case !p.sameBrowser(browser):
			return p, errOtherBrowser
		case only != nil && p.account != only:
			return p, errOtherAccount
		case p.stage != awaitingConsent:
			return p, errUsed
		}
		p.setCompleting()
		return p, nil
	}
	return nil, errUnknownState
}

// markAnswered records that the provider has answered the poll of p.
func (s *pendingAuthorizations) markAnswered(p *pendingAuthorization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.setCompleting()
}

func (p *pendingAuthorization) setCompleting() {
	p.stage = completing
	p.expires = time.Now().Add(pendingLifetime)
}

// finish stores the result of p. If the result has a Candidate, the person must decide
// within pendingLifetime. Otherwise finish discards the Candidate.
func (s *pendingAuthorizations) finish(p *pendingAuthorization, result Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.expires = time.Now().Add(pendingLifetime)
	p.stage, p.result = finished, result
	if result.Candidate != nil {
		p.stage = awaitingDecision
		time.AfterFunc(pendingLifetime+time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.removeExpired()
		})
	}
}

// decide returns the authorization whose result page has this id, and its Candidate for
// the decision in r. The authorization is nil if there is none for the browser that sent
// r. The Candidate is nil if there is no decision to make.
func (s *pendingAuthorizations) decide(id string, r *http.Request) (*pendingAuthorization, *Candidate) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeExpired()
	for _, p := range s.all {
		if p.id != id || !p.sameBrowser(browser) {
			continue
		}
		if p.stage != awaitingDecision {
			return p, nil
		}
		p.setCompleting()
		return p, p.result.Candidate
	}
	return nil, nil
}

// lookup returns the authorization whose result page has this id, with its stage and
// result. The authorization is nil if there is none for the browser that sent r. A code
// flow has a result page only after the provider's response, a device flow at once.
func (s *pendingAuthorizations) lookup(id string, r *http.Request) (*pendingAuthorization, stage, Result) {
	browser := cookiesOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeExpired()
	for _, p := range s.all {
		if p.id == id && (p.stage != awaitingConsent || p.cancelPoll != nil) && p.sameBrowser(browser) {
			return p, p.stage, p.result
		}
	}
	return nil, awaitingConsent, Result{}
}

// removeExpired removes all expired authorizations.
func (s *pendingAuthorizations) removeExpired() {
	now := time.Now()
	s.remove(func(p *pendingAuthorization) bool { return now.After(p.expires) })
}

// remove removes the authorizations for which match returns true. It stops their polling
// and discards their Candidates.
func (s *pendingAuthorizations) remove(match func(*pendingAuthorization) bool) {
	s.all = slices.DeleteFunc(s.all, func(p *pendingAuthorization) bool {
		if !match(p) {
			return false
		}
		if p.cancelPoll != nil {
			p.cancelPoll()
		}
		if p.stage == awaitingDecision {
			p.result.Candidate.Discard()
		}
		return true
	})
}
