package idp

import (
	"bytes"
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	loginPath = "/login"
	stylePath = "/login.css"
)

//go:embed login.html login.css
var pages embed.FS

// scopeNames describes scopes on the consent page.
var scopeNames = map[string]string{
	ScopeMail:               "Read and send mail as this mailbox",
	oidc.ScopeOfflineAccess: "Keep this access until you withdraw it",
	oidc.ScopeOpenID:        "Know who you are",
	oidc.ScopeEmail:         "Know your mail address",
	oidc.ScopeProfile:       "Know your name",
}

// A loginPage is the data of login.html: a form or an error.
type loginPage struct {
	Wrong  string
	ID     string
	Client string
	Back   string // the host that the answer goes to
	Asks   []string
	Users  []loginUser
}

type loginUser struct {
	Mailbox string
	Chosen  bool
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	c, ok := s.storage.get(r.FormValue("id"))
	if !ok {
		s.show(w, http.StatusBadRequest, loginPage{Wrong: "This request is unknown, or too old. Start again from the program that sent you here."})
		return
	}
	page := loginPage{ID: c.id, Client: c.request.ClientID}
	if u, err := url.Parse(c.request.RedirectURI); err == nil {
		page.Back = u.Host
	}
	for _, scope := range c.request.Scopes {
		if name, ok := scopeNames[scope]; ok {
			page.Asks = append(page.Asks, name)
		}
	}
	chosen := max(0, slices.IndexFunc(s.config.Users, func(user string) bool {
		return strings.EqualFold(user, c.request.LoginHint)
	}))
	for i, user := range s.config.Users {
		page.Users = append(page.Users, loginUser{user, i == chosen})
	}
	s.show(w, http.StatusOK, page)
}

func (s *Server) answerLogin(w http.ResponseWriter, r *http.Request) {
	id, mailbox := r.PostFormValue("id"), r.PostFormValue("mailbox")
	c, ok := s.storage.get(id)
	if !ok {
		s.showLogin(w, r)
		return
	}
	if r.PostFormValue("answer") != "allow" {
		s.storage.drop(id)
		op.AuthRequestError(w, r, c, oidc.ErrAccessDenied().WithDescription("the user denied the request"), s.provider)
		return
	}
	if !slices.Contains(s.config.Users, mailbox) {
		s.show(w, http.StatusBadRequest, loginPage{Wrong: "There is no such mailbox here. Go back and choose one."})
		return
	}
	if err := s.storage.allow(id, mailbox); err != nil {
		s.showLogin(w, r)
		return
	}
	ctx := op.ContextWithIssuer(r.Context(), s.config.Issuer)
	http.Redirect(w, r, op.AuthCallbackURL(s.provider)(ctx, id), http.StatusSeeOther)
}

func (s *Server) show(w http.ResponseWriter, status int, page loginPage) {
	var b bytes.Buffer
	if err := s.page.Execute(&b, page); err != nil {
		http.Error(w, "login page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	// No form-action: browsers apply it to the redirect that follows as well.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	// An error here means that the client has disconnected.
	_, _ = b.WriteTo(w)
}

func style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pages, "login.css")
}
