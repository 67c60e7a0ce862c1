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
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/text"
)

//go:embed pages
var files embed.FS

func parseViews() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"pieces": pieces}).ParseFS(files, "pages/*.html")
}

// asset returns a handler that serves a file of the pages directory.
func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		http.ServeFileFS(w, r, files, "pages/"+name)
	}
}

// A view holds the data of all page templates. Each template uses some of the fields.
type view struct {
	Title         string
	Base          string
	Version       string
	Refresh       int // seconds until the browser reloads the page; 0 means never
	Account       *accountView
	PasteRequired bool // the redirect URL does not lead to these pages
	Summary       string
	Sections      []sectionView
	Brief         bool // show details only of accounts that need attention
	Device        deviceView
	Result        Result
	Action        string // path of the form
	Message       message
}

// An accountView is an account in the form for templates.
type accountView struct {
	Name, Provider, Path, Action string
	Redirect                     string // redirect URL
	RedirectURI, RedirectNote    string // redirect URI to register
	SignInAs                     string // address for the sign-in at the provider
	Delegate                     bool   // SignInAs is not Name
	Interactive                  bool
	Flow                         flowText
	Status                       auth.Status
	accountState
	Check                             string // shell command that checks the account
	Problems                          []problem
	Consented, TokenExpiry, Refreshed moment
	Expired                           bool
	Scopes                            []scope
}

// A problem is a problem of an account in the form for templates.
type problem struct {
	Text, Hint  string
	Since, Last moment
	Count       int
}

type scope struct{ Name, Text string }

// A moment is a time in three forms: RFC 3339, for people, and relative to now.
type moment struct{ ISO, Text, Ago string }

func momentOf(t, now time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{t.Format(time.RFC3339), t.Local().Format(dateFormat), text.Since(t, now)}
}

const dateFormat = "2 Jan 2006, 15:04 MST"

// onDate returns t for use in a sentence.
func onDate(t time.Time) string { return "on " + t.Local().Format(dateFormat) }

func viewOf(a *account) *accountView {
	now, s := time.Now(), a.Grants.Status()
	v := &accountView{
		Name: a.Name, Provider: a.Provider, Path: a.path, Action: a.path,
		Interactive:  a.Flow.NeedsConsent(),
		Flow:         describeFlow(a.Account),
		Status:       s,
		accountState: accountStateOf(a.Account, s),
		Check:        a.command("check"),
		TokenExpiry:  momentOf(s.Expiry, now),
		Refreshed:    momentOf(s.Refreshed, now),
		Expired:      s.Expiry.Before(now),
	}
	v.Status.Identity = oneLine(s.Identity)
	if v.Section != disabled {
		for _, p := range s.Problems {
			v.Problems = append(v.Problems, problem{oneLine(p.Text), p.Hint, momentOf(p.Since, now), momentOf(p.Last, now), p.Count})
		}
	}
	if !v.Interactive {
		return v
	}
	reg := a.Registration
	v.Redirect, v.RedirectURI, v.RedirectNote = reg.RedirectURL, reg.RedirectURI, reg.RedirectNote
	v.SignInAs = signInAddress(a.Account)
	v.Delegate = !strings.EqualFold(v.SignInAs, v.Name)
	v.Consented = momentOf(s.Obtained, now)
	for _, name := range reg.Scopes {
		v.Scopes = append(v.Scopes, scope{name, describeScope(name)})
	}
	return v
}

// A deviceView is a device code in the form for templates.
type deviceView struct {
	Code, URI string
	Open      string // URL of the button
	Until     moment
}

func deviceViewOf(d *oauth.Device) deviceView {
	now := time.Now()
	until := momentOf(d.Expiry, now)
	until.Ago = text.Left(d.Expiry, now)
	return deviceView{d.UserCode, d.URI, cmp.Or(d.Complete, d.URI), until}
}

// render replies with a page.
func (e *endpoint) render(w http.ResponseWriter, status int, page string, v view) {
	v.Base, v.Version = e.base, e.version
	var b bytes.Buffer
	if err := e.views.ExecuteTemplate(&b, page, v); err != nil {
		e.log.Error("page not rendered", slog.String("page", page), slog.Any("error", err))
		http.Error(w, "internal error; see the log of xoauthd", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // it fails only if the browser has disconnected
}

// message replies with the page of m.
func (e *endpoint) message(w http.ResponseWriter, status int, m message) {
	e.render(w, status, "message.html", view{Title: m.Title, Message: m})
}

// show handles the page of an account.
func (e *endpoint) show(w http.ResponseWriter, r *http.Request) {
	a := e.account(r.PathValue("account"))
	if a == nil {
		e.message(w, http.StatusNotFound, noSuchAccount(e.base+"/"))
		return
	}
	v, page := view{Title: a.Name, Account: viewOf(a)}, "account.html"
	switch {
	case !a.Enabled:
		e.render(w, http.StatusOK, "disabled.html", v)
		return
	case !a.Flow.NeedsConsent():
		e.render(w, http.StatusOK, "automatic.html", v)
		return
	case a.usesDeviceCode():
		page = "device.html"
	case e.redirectToOrigin(w, r, a, http.StatusTemporaryRedirect):
		return
	default:
		v.PasteRequired = !a.onRedirectOrigin(r)
		if r.URL.RawQuery == redirectedQuery {
			v.Account.Action += "?" + redirectedQuery
		}
	}
	allowForm(w, a.formAction)
	e.render(w, http.StatusOK, page, v)
}

// allowForm sets the headers of a page whose forms may lead to these CSP sources. The
// Referrer-Policy is same-origin because no-referrer would set a form's Origin header to
// null, and the cross-origin check would fail. Neither reveals anything to other sites.
func allowForm(w http.ResponseWriter, sources string) {
	w.Header().Set("Content-Security-Policy", policy+sources)
	w.Header().Set("Referrer-Policy", "same-origin")
}

// result handles the result page of a pendingAuthorization. During a device flow, the page
// shows the device code.
func (e *endpoint) result(w http.ResponseWriter, r *http.Request) {
	p, stage, result := e.pending.lookup(r.PathValue("id"), r)
	switch {
	case p == nil:
		e.message(w, http.StatusNotFound, resultGone(e.base+"/"))
	case stage == requestingCode:
		m := requestingDeviceCode(p.account)
		e.render(w, http.StatusOK, "message.html", view{Title: m.Title, Message: m, Refresh: 2})
	case stage == awaitingConsent:
		e.render(w, http.StatusOK, "code.html", view{Title: "Enter the code", Account: viewOf(p.account), Device: deviceViewOf(p.device), Refresh: 5})
	case stage == completing:
		m := stillCompleting(p.account)
		e.render(w, http.StatusOK, "message.html", view{Title: m.Title, Message: m, Refresh: 2})
	case stage == awaitingDecision:
		allowForm(w, "'self'")
		e.render(w, http.StatusOK, "confirm.html", view{Title: result.Title, Result: result, Account: viewOf(p.account), Action: e.resultPagePath(p)})
	default:
		e.render(w, http.StatusOK, "result.html", view{Title: result.Title, Result: result, Account: viewOf(p.account)})
	}
}
