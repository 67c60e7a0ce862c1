package authorize

import (
	"errors"
	"maps"
)

// The limits of pending authorizations. At a limit, xoauthd refuses a new authorization.
// An unfinished authorization gives way only to one of the same browser, so that no
// other client can end it within its lifetime.
const (
	maxPending        = 2000 // in total; each takes less than 1 KiB
	maxSourcePending  = 100  // of one source
	maxBrowserPending = 8    // that await consent in one browser; a new one replaces the oldest

	// xoauthd polls the provider every few seconds for each device code.
	maxDevicePolls       = 9 // for one account
	maxSourceDevicePolls = 3 // for one account and source
)

// The reasons why xoauthd refuses a new authorization.
var (
	errTooSoon = errors.New("a device code was requested a moment ago")
	errLimit   = errors.New("too many authorizations in progress")
)

// checkLimits makes room for p, which the browser with these cookies starts. The error
// is errLimit.
func (s *pendingAuthorizations) checkLimits(p *pendingAuthorization, browser cookies) error {
	own := func(q *pendingAuthorization) bool { return q.stage == awaitingConsent && q.sameBrowser(browser) }
	if p.cancelPoll != nil {
		ofAccount := func(q *pendingAuthorization) bool { return q.pollsFor(p.account) }
		ofSource := func(q *pendingAuthorization) bool { return q.pollsFor(p.account) && q.source == p.source }
		ownDevice := func(q *pendingAuthorization) bool { return q.cancelPoll != nil && own(q) }
		if !s.makeRoom(maxSourceDevicePolls, ofSource, ownDevice) || !s.makeRoom(maxDevicePolls, ofAccount, ownDevice) {
			return errLimit
		}
	}
	s.makeRoom(maxBrowserPending, own, func(q *pendingAuthorization) bool { return q.cancelPoll == nil })
	ofSource := func(q *pendingAuthorization) bool { return q.source == p.source }
	shown := func(q *pendingAuthorization) bool {
		return q.stage == finished && p.started.After(q.expires.Add(minResultLifetime-pendingLifetime))
	}
	if !s.makeRoom(maxSourcePending, ofSource, shown) || len(s.all) >= maxPending && !s.makeRoom(0, ofSource, shown) {
		return errLimit
	}
	return nil
}

// noteDeviceAuth records the time of the device code request p. The caller holds the
// mutex of pendingAuthorizations.
func (a *account) noteDeviceAuth(p *pendingAuthorization) {
	maps.DeleteFunc(a.lastDeviceAuth, func(_ string, q *pendingAuthorization) bool {
		return p.started.Sub(q.started) >= deviceAuthInterval
	})
	if a.lastDeviceAuth == nil {
		a.lastDeviceAuth = make(map[string]*pendingAuthorization)
	}
	a.lastDeviceAuth[p.source] = p
}

// makeRoom makes room for one more authorization among those that match. If there are
// limit or more, it removes the oldest of them that is evictable. It reports whether
// there is room.
func (s *pendingAuthorizations) makeRoom(limit int, match, evictable func(*pendingAuthorization) bool) bool {
	n, oldest := 0, (*pendingAuthorization)(nil)
	for _, q := range s.all {
		if !match(q) {
			continue
		}
		n++
		if oldest == nil && evictable(q) {
			oldest = q
		}
	}
	if n < limit {
		return true
	}
	s.remove(func(q *pendingAuthorization) bool { return q == oldest })
	return oldest != nil
}
