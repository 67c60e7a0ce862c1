package idp

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
)

func TestCodeFlow(t *testing.T) {
	tests := []struct {
		name   string
		secret string
		style  oauth2.AuthStyle
	}{
		{"secret in the form", "client-secret", oauth2.AuthStyleInParams},
		{"secret in the header", "client-secret", oauth2.AuthStyleInHeader},
		{"public client", "", oauth2.AuthStyleInParams},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			web := httptest.NewUnstartedServer(nil)
			issuer := "http://" + web.Listener.Addr().String()
			p := start(t, func(c *Config) { c.Issuer, c.ClientSecret = issuer, test.secret })
			p.Endpoint.AuthStyle = test.style
			p.browser.Transport = nil // by the network
			web.Config.Handler = p.Server
			web.Start()
			defer web.Close()

			verifier := oauth2.GenerateVerifier()
			status, page := p.visit(t, p.AuthCodeURL("some state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("login_hint", "Bob@example.com")))
			for _, want := range []string{
				"<strong>xoauthd</strong>",
				`value="alice@example.com" required> alice@example.com`,
				`value="bob@example.com" required checked> bob@example.com`,
				"Read and send mail as this mailbox",
				"go back to 127.0.0.1:1.",
			} {
				if status != http.StatusOK || !strings.Contains(page, want) {
					t.Errorf("status %d, no %q in the login page:\n%s", status, want, page)
				}
			}
			answer := p.answer(t, page, bob, "allow")
			if answer.Get("state") != "some state" || answer.Get("iss") != issuer {
				t.Errorf("answer = %v", answer)
			}
			before := time.Now()
			token, err := p.Exchange(p.ctx(t), answer.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			if token.TokenType != "Bearer" || token.RefreshToken == "" || token.ExpiresIn != 3600 {
				t.Errorf("token of type %q, refresh token %q, expires in %d s", token.TokenType, token.RefreshToken, token.ExpiresIn)
			}
			if mailbox, ok := p.User(token.AccessToken); mailbox != bob || !ok {
				t.Errorf("User = %q, %v", mailbox, ok)
			}
			if token.Expiry.Before(before.Add(time.Hour - time.Minute)) {
				t.Errorf("Expiry = %v", token.Expiry)
			}
			if n := p.TokenRequests(); n != 1 {
				t.Errorf("TokenRequests = %d", n)
			}
		})
	}
}

func TestDeny(t *testing.T) {
	p := start(t, nil)
	_, page := p.visit(t, p.AuthCodeURL("some state", oauth2.S256ChallengeOption("v")))
	answer := p.answer(t, page, alice, "deny")
	if answer.Get("error") != "access_denied" || answer.Get("state") != "some state" || answer.Get("iss") != "http://127.0.0.1:2" || answer.Has("code") {
		t.Errorf("answer = %v", answer)
	}
	status, body := p.post(t, "/login", "", "", url.Values{"id": {formID.FindStringSubmatch(page)[1]}, "mailbox": {alice}, "answer": {"allow"}})
	if status != http.StatusBadRequest || !strings.Contains(body, "unknown, or too old") {
		t.Errorf("allowed after denied: %d %s", status, body)
	}
}

func TestAuthorizationRequests(t *testing.T) {
	pkce := oauth2.S256ChallengeOption("v")
	set := oauth2.SetAuthURLParam
	tests := []struct {
		name    string
		options []oauth2.AuthCodeOption
		want    string // error at the client; empty if it must not hear of it
	}{
		{"without PKCE", nil, "invalid_request"},
		{"PKCE with plain", []oauth2.AuthCodeOption{set("code_challenge", "v"), set("code_challenge_method", "plain")}, "invalid_request"},
		{"another response type", []oauth2.AuthCodeOption{pkce, set("response_type", "id_token")}, ""},
		{"another response mode", []oauth2.AuthCodeOption{pkce, set("response_mode", "form_post")}, "invalid_request"},
		{"another client", []oauth2.AuthCodeOption{pkce, set("client_id", "other")}, ""},
		{"another redirect URL", []oauth2.AuthCodeOption{pkce, set("redirect_uri", "http://127.0.0.1:9/callback")}, ""},
	}
	p := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := p.browser.Get(p.AuthCodeURL("some state", test.options...))
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				if r.StatusCode != http.StatusBadRequest || r.Header.Get("Location") != "" {
					t.Errorf("%s, to %q", r.Status, r.Header.Get("Location"))
				}
				return
			}
			answer := carried(t, r)
			if answer.Get("error") != test.want || answer.Get("iss") != "http://127.0.0.1:2" {
				t.Errorf("answer = %v, want error %s", answer, test.want)
			}
		})
	}
}

func TestCode(t *testing.T) {
	p := start(t, nil)
	exchange := func(code, verifier string) error {
		_, err := p.Exchange(p.ctx(t), code, oauth2.VerifierOption(verifier))
		return err
	}
	t.Run("used twice", func(t *testing.T) {
		code := p.authorize(t, alice, "verifier")
		if err := exchange(code, "verifier"); err != nil {
			t.Fatal(err)
		}
		wantError(t, exchange(code, "verifier"), "invalid_grant")
	})
	t.Run("wrong verifier", func(t *testing.T) {
		code := p.authorize(t, alice, "verifier")
		wantError(t, exchange(code, "another"), "invalid_grant")
		wantError(t, exchange(code, "verifier"), "invalid_grant")
	})
	t.Run("wrong secret", func(t *testing.T) {
		code := p.authorize(t, alice, "verifier")
		p.ClientSecret = "wrong"
		defer func() { p.ClientSecret = "client-secret" }()
		wantError(t, exchange(code, "verifier"), "invalid_client")
	})
	t.Run("the mail server is no client", func(t *testing.T) {
		code := p.authorize(t, alice, "verifier")
		p.ClientID, p.ClientSecret = "dovecot", "service-secret"
		defer func() { p.ClientID, p.ClientSecret = "xoauthd", "client-secret" }()
		wantError(t, exchange(code, "verifier"), "invalid_client")
	})
	t.Run("a mailbox that is not there", func(t *testing.T) {
		_, page := p.visit(t, p.AuthCodeURL("state", oauth2.S256ChallengeOption("v")))
		form := url.Values{"id": {formID.FindStringSubmatch(page)[1]}, "mailbox": {"eve@example.com"}, "answer": {"allow"}}
		if status, body := p.post(t, "/login", "", "", form); status != http.StatusBadRequest || !strings.Contains(body, "no such mailbox") {
			t.Errorf("%d %s", status, body)
		}
	})
}

func TestScopes(t *testing.T) {
	p := start(t, nil)
	tests := []struct {
		scopes  []string
		opens   bool
		refresh bool
	}{
		{[]string{"mail", "offline_access"}, true, true},
		{[]string{"openid", "email", "mail", "offline_access"}, true, true},
		{[]string{"mail"}, true, false},
		{[]string{"openid", "email", "offline_access"}, false, true},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.scopes, " "), func(t *testing.T) {
			p.Scopes = test.scopes
			token, err := p.Exchange(p.ctx(t), p.authorize(t, alice, "v"), oauth2.VerifierOption("v"))
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := p.User(token.AccessToken); ok != test.opens {
				t.Errorf("opens the mailbox: %v", ok)
			}
			if got := token.RefreshToken != ""; got != test.refresh {
				t.Errorf("has a refresh token: %v", got)
			}
			if got := token.Extra("scope"); got != strings.Join(test.scopes, " ") {
				t.Errorf("scope = %v", got)
			}
		})
	}
}

func TestConsentExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, nil)
		link := p.AuthCodeURL("state", oauth2.S256ChallengeOption("v"))
		_, page := p.visit(t, link)
		id := formID.FindStringSubmatch(page)[1]
		time.Sleep(consentLife)
		status, page := p.visit(t, "http://127.0.0.1:2/login?id="+id)
		if status != http.StatusBadRequest || !strings.Contains(page, "unknown, or too old") {
			t.Errorf("page after %v: %d %s", consentLife, status, page)
		}

		_, page = p.visit(t, link)
		time.Sleep(consentLife - time.Second)
		code := p.answer(t, page, alice, "allow").Get("code")
		time.Sleep(consentLife - time.Second) // since the answer
		if _, err := p.Exchange(p.ctx(t), code, oauth2.VerifierOption("v")); err != nil {
			t.Errorf("exchange in time: %v", err)
		}

		code = p.authorize(t, alice, "v")
		time.Sleep(consentLife)
		_, err := p.Exchange(p.ctx(t), code, oauth2.VerifierOption("v"))
		wantError(t, err, "invalid_grant")
	})
}

func TestPublicClientPorts(t *testing.T) {
	p := start(t, func(c *Config) { c.ClientSecret = "" })
	p.RedirectURL = "http://127.0.0.1:12345/callback"
	if status, page := p.visit(t, p.AuthCodeURL("state", oauth2.S256ChallengeOption("v"))); status != http.StatusOK {
		t.Errorf("%d %s", status, page)
	}
}
