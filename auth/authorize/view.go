package authorize

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
)

//go:embed pages
var files embed.FS

func parseViews() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"pieces": pieces}).ParseFS(files, "pages/*.html")
}

// asset serves one file of this package.
func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		http.ServeFileFS(w, r, files, "pages/"+name)
	}
}

// A view is what a page is made from; each page uses some of it.
type view struct {
	Title   string
	Base    string
	Version string
	Refresh int // look again after so many seconds; 0 for never
	Account *accountView
	Apart   bool // the redirect URL leads where these pages are not
	Summary string
	Groups  []group
	Brief   bool // only accounts that are not well are told of at length
	Device  deviceView
	Result  Outcome
	Action  string // where the form of the page leads
	Message message
}

// An accountView is an account as shown.
type accountView struct {
	Name, Provider, Path, Action string
	Redirect                     string // where the browser comes back
	RedirectURI, RedirectNote    string // to register
	SignsIn                      string // who is to sign in at the provider
	Delegate                     bool   // which is another than the account
	Attended                     bool
	Flow                         flow
	Status                       auth.Status
	standing
	Check                     string // what to type to try it
	Problems                  []problem
	Consented, Token, Renewed moment
	Expired                   bool
	Scopes                    []scope
}

// A problem is one that an account has, as shown.
type problem struct {
	Text, Hint  string
	Since, Last moment
	Count       int
}

type scope struct{ Name, Words string }

// A moment is a time in three forms: for programs, for people, and how long
// from now.
type moment struct{ ISO, Text, Ago string }

func momentOf(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{t.Format(time.RFC3339), t.Local().Format(dateForm), ago(t, now)}
}

const dateForm = "2 Jan 2006, 15:04 MST"

// at is when t is, within a sentence.
func at(t time.Time) string { return "on " + t.Local().Format(dateForm) }

func viewOf(a *account) *accountView {
	now, s := time.Now(), a.Status()
	v := &accountView{
		Name: a.Name(), Provider: a.Provider(), Path: a.path, Action: a.path,
		Attended: a.Attended(),
		Flow:     flowOf(a),
		Status:   s,
		standing: standingOf(a, s),
		Check:    a.command("check"),
		Token:    momentOf(s.Expiry, now),
		Renewed:  momentOf(s.Refreshed, now),
		Expired:  s.Expiry.Before(now),
	}
	v.Status.Identity = oneLine(s.Identity)
	if v.Section != disabled {
		for _, p := range s.Problems {
			v.Problems = append(v.Problems, problem{oneLine(p.Text), p.Hint, momentOf(p.Since, now), momentOf(p.Last, now), p.Count})
		}
	}
	if !v.Attended {
		return v
	}
	reg := a.Registration()
	v.Redirect, v.RedirectURI, v.RedirectNote = reg.RedirectURL, reg.RedirectURI, reg.RedirectNote
	v.SignsIn = signsIn(a)
	v.Delegate = !strings.EqualFold(v.SignsIn, v.Name)
	v.Consented = momentOf(s.Obtained, now)
	for _, name := range reg.Scopes {
		v.Scopes = append(v.Scopes, scope{name, scopeWords(name)})
	}
	return v
}

// A deviceView is a code to enter elsewhere, as shown.
type deviceView struct {
	Code, URI string
	Open      string // where the button leads
	Until     moment
}

func deviceViewOf(d *auth.Device) deviceView {
	now := time.Now()
	until := momentOf(d.Expiry, now)
	until.Ago = TimeLeft(d.Expiry, now)
	return deviceView{d.UserCode, d.URI, cmp.Or(d.Complete, d.URI), until}
}

// render answers with a page.
func (e *endpoint) render(w http.ResponseWriter, status int, page string, v view) {
	v.Base, v.Version = e.base, e.version
	var b bytes.Buffer
	if err := e.views.ExecuteTemplate(&b, page, v); err != nil {
		e.log.Error("page", slog.String("page", page), slog.Any("why", err))
		http.Error(w, "internal error; see the log of xoauthd", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a browser that has left needs no page
}

// message answers with a page of words.
func (e *endpoint) message(w http.ResponseWriter, status int, m message) {
	e.render(w, status, "message.html", view{Title: m.Title, Message: m})
}

// show is the page of one account, with the button.
func (e *endpoint) show(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	if a == nil {
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
		return
	}
	v, page := view{Title: a.Name(), Account: viewOf(a)}, "account.html"
	switch {
	case !a.Enabled():
		e.render(w, http.StatusOK, "disabled.html", v)
		return
	case !a.Attended():
		e.render(w, http.StatusOK, "unattended.html", v)
		return
	case a.byDevice():
		page = "bydevice.html"
	case e.moved(w, r, a, http.StatusTemporaryRedirect):
		return
	default:
		v.Apart = !a.atCallback(r)
		if r.URL.RawQuery == movedMark {
			v.Account.Action += "?" + movedMark
		}
	}
	allowForm(w, a.formAction)
	e.render(w, http.StatusOK, page, v)
}

// allowForm sets the headers of a page whose forms lead to these sources of CSP.
// With no-referrer a form's Origin would be null, which does not prove where it
// comes from. Other sites are told nothing by same-origin either.
func allowForm(w http.ResponseWriter, sources string) {
	w.Header().Set("Content-Security-Policy", policy+sources)
	w.Header().Set("Referrer-Policy", "same-origin")
}

// result is the page that tells what came of an attempt. It is also where a
// person finds the code to enter elsewhere, while that is waited for.
func (e *endpoint) result(w http.ResponseWriter, r *http.Request) {
	t, stage, o := e.attempts.find(r.PathValue("id"), r)
	switch {
	case t == nil:
		e.message(w, http.StatusNotFound, noResult(e.base+"/"))
	case stage == asking:
		m := beingAsked(t.account)
		e.render(w, http.StatusOK, "message.html", view{Title: m.Title, Message: m, Refresh: 2})
	case stage == pending:
		e.render(w, http.StatusOK, "code.html", view{Title: "Enter the code", Account: viewOf(t.account), Device: deviceViewOf(t.device), Refresh: 5})
	case stage == running:
		m := underWay(t.account)
		e.render(w, http.StatusOK, "message.html", view{Title: m.Title, Message: m, Refresh: 2})
	case stage == deciding:
		allowForm(w, "'self'")
		e.render(w, http.StatusOK, "confirm.html", view{Title: o.Title, Result: o, Account: viewOf(t.account), Action: e.resultOf(t)})
	default:
		e.render(w, http.StatusOK, "result.html", view{Title: o.Title, Result: o, Account: viewOf(t.account)})
	}
}
