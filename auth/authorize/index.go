package authorize

import (
	"net/http"
	"slices"

	"github.com/xoauthd/xoauthd/auth"
)

const (
	// maxDetailed is the number of accounts up to which the list shows the details of
	// each.
	maxDetailed = 20

	// maxListed is the number of accounts that each part of the list shows. To search
	// more accounts, "xoauthd status" is more convenient.
	maxListed = 200
)

// The sections of the list. The accounts that need attention come first.
const (
	needsAuthorization = iota
	failing
	withWarning
	healthy
	disabled
	numSections
)

var sectionTitles = [numSections]string{"Awaiting authorization", "Failing", "With a warning", "Working", "Disabled"}

// An accountState is the state of an account, for people.
type accountState struct {
	State   string
	Class   string // class of the style sheet
	Section int    // section of the list
}

// Well reports whether the account needs no attention.
func (s accountState) Well() bool { return s.Section >= healthy }

func accountStateOf(a *Account, s auth.Status) accountState {
	switch {
	case !a.Enabled:
		return accountState{"disabled", "plain", disabled}
	case s.State == auth.NeedsAuthorization:
		return accountState{string(s.State), "bad", needsAuthorization}
	case s.State == auth.Failing:
		return accountState{string(s.State), "warn", failing}
	case len(s.Problems) > 0 && a.Flow.NeedsConsent():
		return accountState{string(s.State), "warn", withWarning}
	case len(s.Problems) > 0:
		return accountState{"working", "warn", withWarning}
	case a.Flow.NeedsConsent():
		return accountState{string(s.State), "good", healthy}
	case s.Expiry.IsZero() && s.Refreshed.IsZero(): // no token yet, so it is unknown whether the account works
		return accountState{"ready", "plain", healthy}
	}
	return accountState{"working", "good", healthy}
}

// A sectionView is a section of the list. If the accounts of a pattern need no attention,
// they are one entry.
type sectionView struct {
	Title    string
	Count    int
	Accounts []*accountView
	Patterns []*patternView
	More     int // number of accounts that are not shown
}

// A patternView lists the accounts of one pattern in a section.
type patternView struct {
	Pattern, Summary string
	Count            int
	Accounts         []*accountView
	More             int // number of accounts that are not shown
}

// index handles the page with the list of accounts.
func (e *endpoint) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("state") {
		e.callback(w, r) // the redirect URL may have no path
		return
	}
	var sections [numSections]sectionView
	ofPattern := map[string]int{}
	for _, a := range e.accounts {
		v := viewOf(a)
		sections[v.Section].add(v, a.Pattern)
		ofPattern[a.Pattern]++
	}
	v := view{Title: "Accounts", Brief: len(e.accounts) > maxDetailed}
	var counts [numSections]int
	for i, s := range sections {
		counts[i] = s.Count
		if s.Count == 0 {
			continue
		}
		s.Title = sectionTitles[i]
		for _, p := range s.Patterns {
			p.Summary = mailboxSummary(p.Count, ofPattern[p.Pattern], i)
		}
		v.Sections = append(v.Sections, s)
	}
	v.Summary = summary(counts)
	e.render(w, http.StatusOK, "index.html", v)
}

// add adds an account. pattern is empty unless the account is a mailbox of a pattern.
func (s *sectionView) add(v *accountView, pattern string) {
	s.Count++
	if pattern == "" || !v.Well() {
		addUpToLimit(&s.Accounts, &s.More, v)
		return
	}
	i := slices.IndexFunc(s.Patterns, func(p *patternView) bool { return p.Pattern == pattern })
	if i < 0 {
		i = len(s.Patterns)
		s.Patterns = append(s.Patterns, &patternView{Pattern: pattern})
	}
	p := s.Patterns[i]
	p.Count++
	addUpToLimit(&p.Accounts, &p.More, v)
}

// addUpToLimit adds v to shown, or counts it in more if shown has maxListed accounts.
func addUpToLimit(shown *[]*accountView, more *int, v *accountView) {
	if len(*shown) == maxListed {
		*more++
		return
	}
	*shown = append(*shown, v)
}
