package oauth

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Resource is what an access token opens. One grant has an access token for each resource
// of the provider. A request for tokens names the scopes of one resource only, as Microsoft
// demands; an authorization request names those of all.
type Resource string

// The resources.
const (
	Mail  Resource = "mail"  // the mail servers; its scopes are those of Provider.OAuth
	Graph Resource = "graph" // Microsoft Graph
	Gmail Resource = "gmail" // the Gmail API
)

// A Token is an access token. Its times are of the wall clock.
type Token struct {
	AccessToken string    `json:"access_token"`
	Expiry      time.Time `json:"expiry"`
	Issued      time.Time `json:"issued"`
}

// Token returns the access token for a resource; the zero Token if there is none.
func (g Grant) Token(r Resource) Token {
	if r == Mail {
		return Token{g.AccessToken, g.Expiry, g.Issued()}
	}
	return g.Tokens[r]
}

// withToken returns g with another access token for r.
func (g Grant) withToken(r Resource, t Token) Grant {
	if r == Mail {
		g.AccessToken, g.Expiry, g.Refreshed, g.Withdrawn = t.AccessToken, t.Expiry, t.Issued, ""
		return g
	}
	g.Tokens = maps.Clone(g.Tokens)
	if g.Tokens == nil {
		g.Tokens = make(map[Resource]Token)
	}
	g.Tokens[r] = t
	return g
}

// AllResources returns the resources of the provider, Mail first.
func (p *Provider) AllResources() []Resource {
	return append([]Resource{Mail}, slices.Sorted(maps.Keys(p.Resources))...)
}

// scopes returns the scopes of a resource.
func (p *Provider) scopes(r Resource) []string {
	if r == Mail {
		return p.OAuth.Scopes
	}
	return p.Resources[r]
}

// consentScopes returns the scopes of an authorization request: of all resources, those of
// Mail first, for which the provider issues the first token.
func (p *Provider) consentScopes() (all []string) {
	for _, r := range p.AllResources() {
		for _, scope := range p.scopes(r) {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return all
}

// withScope adds the scopes of r to form, if there are any.
func (p *Provider) withScope(form url.Values, r Resource) url.Values {
	if scopes := p.scopes(r); len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	return form
}

// withOneScope is withScope for a grant with the scopes of several resources. Without those,
// the provider knows the scopes from the consent.
func (p *Provider) withOneScope(form url.Values, r Resource) url.Values {
	if len(p.Resources) == 0 {
		return form
	}
	return p.withScope(form, r)
}

// missingScopes returns the scopes of asked that granted does not have. Providers may shorten
// the URL of a scope to its last part. The scopes of OpenID Connect open no resource, and
// ".default" stands for any.
func missingScopes(asked, granted []string) (missing []string) {
	last := func(scope string) string {
		scope = strings.TrimSuffix(scope, "/")
		return strings.ToLower(scope[strings.LastIndex(scope, "/")+1:])
	}
	for _, scope := range asked {
		switch last(scope) {
		case "openid", "profile", "email", "offline_access", ".default":
			continue
		}
		if !slices.ContainsFunc(granted, func(g string) bool { return last(g) == last(scope) }) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// verify returns an error if the token of a lacks a scope of r, which other grants of the same
// person may have. An answer need not name the scopes if they are those of the request (RFC
// 6749 section 5.1). The mail servers themselves say what their tokens do not open.
func (p *Provider) verify(a answer, r Resource) error {
	granted := splitScope(a.text("scope"))
	if r == Mail || len(granted) == 0 {
		return nil
	}
	missing := missingScopes(p.scopes(r), granted)
	if len(missing) == 0 {
		return nil
	}
	return &Error{
		Kind:   NeedsConsent,
		Err:    errors.New("the provider has not granted the scope " + strings.Join(missing, " ")),
		Remedy: "Authorize the account again, and agree to everything that is asked for. An administrator of the organisation may have to consent first.",
		Family: p.Family,
	}
}

// explain adds to e, the failure of a refresh for r, what the authorization of g lacks: a
// resource may have been configured after it.
func (p *Provider) explain(e *Error, g Grant, r Resource) {
	e.Resource = r
	switch strings.ToLower(e.Code) {
	case "invalid_scope", "invalid_resource", "invalid_target":
	default:
		if e.Kind != NeedsConsent {
			return
		}
	}
	if missing := missingScopes(p.scopes(r), splitScope(g.Requested)); len(missing) > 0 {
		e.Kind = NeedsConsent
		e.Remedy = "Authorize the account again: it was authorized without the scope " + strings.Join(missing, " ") + "."
	}
}
