package authorize

import (
	"net/http"
	"slices"

	"github.com/xoauthd/xoauthd/auth"
)

const (
	// maxAtLength is the most accounts of which all is told on the list.
	maxAtLength = 20

	// maxListed is the most of one kind that it names: beyond that it is not
	// read but searched, which xoauthd status is better for.
	maxListed = 200
)

// The sections of the list: first the accounts that need somebody.
const (
	toAuthorize = iota
	failing
	warned
	inOrder
	disabled
	sections
)

var titles = [sections]string{"To be authorized", "Failing", "With a warning", "In order", "Disabled"}

// A standing is how an account stands, as shown.
type standing struct {
	State   string
	Class   string // of the style sheet
	Section int    // of the list
}

// Well reports whether nothing is wrong.
func (s standing) Well() bool { return s.Section >= inOrder }

func standingOf(a Account, s auth.Status) standing {
	switch {
	case !a.Enabled():
		return standing{"disabled", "plain", disabled}
	case s.State == auth.NeedsAuthorization:
		return standing{string(s.State), "bad", toAuthorize}
	case s.State == auth.Failing:
		return standing{string(s.State), "warn", failing}
	case len(s.Problems) > 0 && a.Attended():
		return standing{string(s.State), "warn", warned}
	case len(s.Problems) > 0:
		return standing{"working", "warn", warned}
	case a.Attended():
		return standing{string(s.State), "good", inOrder}
	case s.Expiry.IsZero() && s.Refreshed.IsZero(): // no token yet: it may work, or not
		return standing{"ready", "plain", inOrder}
	}
	return standing{"working", "good", inOrder}
}

// A group is a section of the list, with the accounts that stand alike. The
// mailboxes of a pattern are one entry where nobody has to do anything for them.
type group struct {
	Title    string
	Count    int
	Accounts []*accountView
	Patterns []*mailboxes
	More     int // that are not shown
}

// Mailboxes are those of a pattern within a group.
type mailboxes struct {
	Pattern, Words string
	Count          int
	Accounts       []*accountView
	More           int // that are not shown
}

// index lists the accounts.
func (e *endpoint) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("state") {
		e.callback(w, r) // of a redirect URL that has no path
		return
	}
	var groups [sections]group
	ofPattern := map[string]int{}
	for _, a := range e.accounts {
		v := viewOf(a)
		groups[v.Section].add(v, a.Pattern())
		ofPattern[a.Pattern()]++
	}
	v := view{Title: "Accounts", Brief: len(e.accounts) > maxAtLength}
	var counts [sections]int
	for i, g := range groups {
		counts[i] = g.Count
		if g.Count == 0 {
			continue
		}
		g.Title = titles[i]
		for _, m := range g.Patterns {
			m.Words = mailboxWords(m.Count, ofPattern[m.Pattern], i)
		}
		v.Groups = append(v.Groups, g)
	}
	v.Summary = summary(counts)
	e.render(w, http.StatusOK, "index.html", v)
}

// add adds an account, which may be one of many by a pattern.
func (g *group) add(v *accountView, pattern string) {
	g.Count++
	if pattern == "" || !v.Well() {
		add(&g.Accounts, &g.More, v)
		return
	}
	i := slices.IndexFunc(g.Patterns, func(m *mailboxes) bool { return m.Pattern == pattern })
	if i < 0 {
		i = len(g.Patterns)
		g.Patterns = append(g.Patterns, &mailboxes{Pattern: pattern})
	}
	m := g.Patterns[i]
	m.Count++
	add(&m.Accounts, &m.More, v)
}

// add adds v to those shown while they are few enough, and else to more.
func add(shown *[]*accountView, more *int, v *accountView) {
	if len(*shown) == maxListed {
		*more++
		return
	}
	*shown = append(*shown, v)
}
