package authorize

import (
	"errors"
	"maps"
)

// The bounds of attempts. Beyond one of them an attempt cannot begin. An attempt
// that is not done makes room only for one of the same browser: within its life, no
// request of anybody else can end it.
const (
	maxAttempts       = 2000 // in all; each takes less than 1 KiB
	maxSourceAttempts = 100  // of one source
	maxBrowserPending = 8    // that are pending in one browser; the oldest makes room

	// The provider is asked for each code every few seconds until it is entered.
	maxDevices       = 9 // of one account
	maxSourceDevices = 3 // of one account, from one source
)

// Why an attempt cannot begin.
var (
	errTooSoon = errors.New("a code was asked for just now")
	errNoRoom  = errors.New("too many are under way")
)

// makeRoom holds s to the bounds when t is added, which the browser that sent the
// cookies begins.
func (s *attempts) makeRoom(t *attempt, browser cookies) error {
	own := func(u *attempt) bool { return u.stage == pending && u.heldBy(browser) }
	if t.drop != nil {
		ofAccount := func(u *attempt) bool { return u.awaits(t.account) }
		ofSource := func(u *attempt) bool { return u.awaits(t.account) && u.source == t.source }
		ownCode := func(u *attempt) bool { return u.drop != nil && own(u) }
		if !s.free(maxSourceDevices, ofSource, ownCode) || !s.free(maxDevices, ofAccount, ownCode) {
			return errNoRoom
		}
	}
	s.free(maxBrowserPending, own, func(u *attempt) bool { return u.drop == nil })
	ofSource := func(u *attempt) bool { return u.source == t.source }
	read := func(u *attempt) bool { return u.stage == done && t.begun.After(u.expires.Add(resultLife-attemptLife)) }
	if !s.free(maxSourceAttempts, ofSource, read) || len(s.all) >= maxAttempts && !s.free(0, ofSource, read) {
		return errNoRoom
	}
	return nil
}

// asks notes that t asks for a code for a device. The caller holds the mutex of
// attempts.
func (a *account) asks(t *attempt) {
	maps.DeleteFunc(a.asked, func(_ string, u *attempt) bool { return t.begun.Sub(u.begun) >= askPause })
	if a.asked == nil {
		a.asked = make(map[string]*attempt)
	}
	a.asked[t.source] = t
}

// free makes room for one more attempt among those that are so, of which there
// may be most: it removes the oldest of them that may go. It reports whether there
// is room.
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
