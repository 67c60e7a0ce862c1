package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

// A record is stored beside the grant of an account, so that a restarted daemon knows why the
// account fails. No grant depends on it: an unreadable record is ignored, and a failed write is
// repeated later.
type record struct {
	Source   string               `json:"source"` // of the grant; the record of another source is ignored
	Revoked  *Revocation          `json:"revoked,omitempty"`
	Begun    time.Time            `json:"refresh_begun,omitzero"` // the last refresh without an answer
	Provider Problem              `json:"provider,omitzero"`
	Logins   map[string]time.Time `json:"logins,omitempty"`
	Refusals map[string]Problem   `json:"refusals,omitempty"`
}

// A Revocation says who revoked a grant, and when.
type Revocation struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

func (r Revocation) String() string {
	return "the grant was revoked by " + r.By + " on " + dayAndTime(r.At)
}

// dayAndTime returns t for a sentence.
func dayAndTime(t time.Time) string { return t.Local().Format("2 January 2006 at 15:04 MST") }

const (
	// recordPause is the least time between two writes after a problem began or ended.
	recordPause = 10 * time.Second

	// recordAge is the least time between two writes for a changed number or time alone.
	recordAge = time.Hour
)

// restore reads the record of an earlier daemon.
func (a *Account) restore() {
	var r record
	err := a.store.LoadRecord(a.name, &r)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		a.log.Warn("account record ignored", "error", oauth.OneLine(err.Error()))
		return
	case r.Source != a.source:
		return
	}
	a.logins, a.refusals, a.state(oauth.Mail).failed, a.revoked = r.Logins, r.Refusals, r.Provider, r.Revoked
	a.unrecorded = a.store.HasOldKeys() // it may not be encrypted with the first
	if !a.grant.Empty() && r.Begun.After(a.grant.Issued()) {
		a.begun = r.Begun
		a.log.Warn("token refresh interrupted: xoauthd ended before the provider's answer was saved", "begun", r.Begun)
	}
}

// ForgetLogins removes the results of logins, except for some protocols: the configuration may
// not have the others any more.
func (a *Account) ForgetLogins(except func(protocol string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.logins) + len(a.refusals)
	maps.DeleteFunc(a.logins, func(protocol string, _ time.Time) bool { return !except(protocol) })
	maps.DeleteFunc(a.refusals, func(protocol string, _ Problem) bool { return !except(protocol) })
	if len(a.logins)+len(a.refusals) < before {
		a.note(false)
	}
}

// note marks the record as changed. It is written soon if a problem began or ended. The caller
// holds mu.
func (a *Account) note(soon bool) {
	a.unrecorded = true
	a.recordSoon = a.recordSoon || soon
	a.recordIfDue(time.Now())
}

// recordIfDue writes a changed record in the background. The caller holds mu.
func (a *Account) recordIfDue(now time.Time) {
	pause := recordAge
	if a.recordSoon {
		pause = recordPause
	}
	if a.unrecorded && !now.Before(a.recorded.Add(pause)) {
		a.recorded = now
		go a.saveRecord()
	}
}

// saveRecord writes the record if it has changed. A fault is logged once, and does not prevent
// the use of a grant.
func (a *Account) saveRecord() {
	a.recording.Lock()
	defer a.recording.Unlock()
	a.mu.Lock()
	if !a.unrecorded {
		a.mu.Unlock()
		return
	}
	r := record{
		Source:   a.source,
		Revoked:  a.revoked,
		Begun:    a.begun,
		Provider: a.state(oauth.Mail).failed,
		Logins:   maps.Clone(a.logins),
		Refusals: maps.Clone(a.refusals),
	}
	a.unrecorded, a.recordSoon, a.recorded = false, false, time.Now()
	a.mu.Unlock()
	err := a.store.SaveRecord(a.name, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unrecorded = a.unrecorded || err != nil
	if err != nil && a.recordFault == nil {
		a.log.Warn("account record not saved", "error", oauth.OneLine(err.Error()))
	}
	a.recordFault = err
}

// noteBegin records that a refresh is about to be sent. If xoauthd ends before the answer is
// saved, the stored refresh token may be invalid.
func (a *Account) noteBegin(r *refresh, now time.Time) {
	if !a.Interactive() {
		return // there is no refresh token
	}
	a.mu.Lock()
	r.doubt, a.begun = a.begun, now.Round(0)
	a.unrecorded = true
	a.mu.Unlock()
	a.saveRecord()
}

// hintLost returns the hint for a refused refresh token, if the answer to the refresh at begun
// was lost.
func hintLost(begun time.Time) string {
	return fmt.Sprintf("The provider's answer to the refresh of %s was lost: xoauthd was killed, or the connection broke. "+
		"Most likely it had the next refresh token in it. Authorize the account again.", dayAndTime(begun))
}
