package authorize

import (
	"net/http"

	"github.com/xoauthd/xoauthd/auth"
)

// maxAtLength is the most accounts of which all is told on the list.
const maxAtLength = 20

// A group is accounts that stand alike.
type group struct {
	Title    string
	Accounts []*accountView
}

// index lists the accounts, those first that somebody has to do something for.
func (e *endpoint) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("state") {
		e.callback(w, r) // of a redirect URL that has no path
		return
	}
	in := map[auth.State][]*accountView{}
	for _, a := range e.accounts {
		v := viewOf(a)
		in[v.Status.State] = append(in[v.Status.State], v)
	}
	v := view{Title: "Accounts", Brief: len(e.accounts) > maxAtLength}
	for _, g := range []group{
		{"To be authorized", in[auth.NeedsAuthorization]},
		{"Failing for now", in[auth.Failing]},
		{"In order", in[auth.Authorized]},
	} {
		if len(g.Accounts) > 0 {
			v.Groups = append(v.Groups, g)
		}
	}
	v.Summary = summary(len(e.accounts), len(in[auth.NeedsAuthorization]), len(in[auth.Failing]))
	e.render(w, http.StatusOK, "index.html", v)
}
