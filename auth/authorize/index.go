package authorize

import (
	"net/http"

	"github.com/xoauthd/xoauthd/auth"
)

// maxAtLength is the most accounts of which all is told on the list.
const maxAtLength = 20

// The sections of the list: those first that somebody has to do something for.
const (
	toAuthorize = iota
	failing
	inOrder
	disabled
	sections
)

var titles = [sections]string{"To be authorized", "Failing for now", "In order", "Disabled"}

// A standing is how an account stands, as shown.
type standing struct {
	State   string
	Class   string // of the style sheet
	Section int    // of the list
}

// Well reports whether nobody has to do anything.
func (s standing) Well() bool { return s.Section >= inOrder }

func standingOf(a Account, s auth.Status) standing {
	switch {
	case !a.Enabled():
		return standing{"disabled", "plain", disabled}
	case s.State == auth.NeedsAuthorization:
		return standing{string(s.State), "bad", toAuthorize}
	case s.State == auth.Failing:
		return standing{string(s.State), "warn", failing}
	case a.Attended():
		return standing{string(s.State), "good", inOrder}
	case s.Expiry.IsZero() && s.Refreshed.IsZero(): // no token yet: it may work, or not
		return standing{"ready", "plain", inOrder}
	}
	return standing{"working", "good", inOrder}
}

// A group is accounts that stand alike.
type group struct {
	Title    string
	Accounts []*accountView
}

// index lists the accounts.
func (e *endpoint) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("state") {
		e.callback(w, r) // of a redirect URL that has no path
		return
	}
	var groups [sections]group
	var counts [sections]int
	for _, a := range e.accounts {
		v := viewOf(a)
		counts[v.Section]++
		g := &groups[v.Section]
		g.Accounts = append(g.Accounts, v)
	}
	v := view{Title: "Accounts", Brief: len(e.accounts) > maxAtLength, Summary: summary(counts)}
	for i, g := range groups {
		if g.Title = titles[i]; len(g.Accounts) > 0 {
			v.Groups = append(v.Groups, g)
		}
	}
	e.render(w, http.StatusOK, "index.html", v)
}
