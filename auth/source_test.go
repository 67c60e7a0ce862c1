package auth

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestOtherSource: what one provider gave is shown to no other, and to no other
// client; it is kept until a person has consented anew.
func TestOtherSource(t *testing.T) {
	person, flow := oauth.Consent{}, oauth.ClientCredentials{}
	for _, tt := range []struct {
		name          string
		before, after oauth.Flow
		change        func(*oauth.Provider)
		good          bool
	}{
		{"nothing has changed", person, person, func(*oauth.Provider) {}, true},
		{"another tenant", person, person, func(p *oauth.Provider) { p.OAuth.Endpoint.TokenURL = "https://example.com/tenant/token" }, true},
		{"another provider", person, person, func(p *oauth.Provider) { p.OAuth.Endpoint.TokenURL = "https://example.org/token" }, false},
		{"another client", person, person, func(p *oauth.Provider) { p.OAuth.ClientID = "other" }, false},
		{"no person any more", person, flow, func(*oauth.Provider) {}, false},
		{"a person now", flow, person, func(*oauth.Provider) {}, false},
		{"another client, without a person", flow, flow, func(p *oauth.Provider) { p.OAuth.ClientID = "other" }, false},
		{"nothing has changed, without a person", flow, flow, func(*oauth.Provider) {}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := openStore(t, t.TempDir()+"/state")
				before := NewAccount("joe", newProvider(&tokenserver.Server{Answer: tokenserver.Numbered}), tt.before, store, nil)
				if err := before.Keep(granted(0)); err != nil {
					t.Fatal(err)
				}
				s := &tokenserver.Server{Answer: tokenserver.Numbered}
				p := newProvider(s)
				tt.change(p)
				a := NewAccount("joe", p, tt.after, store, slog.New(slog.NewTextHandler(t.Output(), nil)))
				token, err := a.Token(t.Context(), "")
				switch {
				case tt.good:
					if token != "token0" || err != nil {
						t.Errorf("token = %q, %v", token, err)
					}
				case !tt.after.Interactive():
					if token != "token1" || err != nil {
						t.Errorf("token = %q, %v", token, err)
					}
				default:
					if err == nil || !strings.Contains(a.Status().Why, "another provider, or to another client") || s.Count() != 0 {
						t.Errorf("token = %q, %v; status = %+v; %d requests", token, err, a.Status(), s.Count())
					}
					if g, err := store.Load("joe"); err != nil || g.AccessToken != "token0" {
						t.Errorf("kept: %+v, %v", g, err)
					}
				}
			})
		})
	}
}

// TestOtherSourceIsPutAside checks that the grant of another flow or provider is kept when
// an account changes, so that it can change back.
func TestOtherSourceIsPutAside(t *testing.T) {
	for name, do := range map[string]func(a *Account) error{
		"another token": func(a *Account) error { _, err := a.Token(t.Context(), ""); return err },
		"a revocation":  func(a *Account) error { _, err := a.Revoke(t.Context(), "ann"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir() + "/state"
			store := openStore(t, dir)
			p := newProvider(&tokenserver.Server{Answer: tokenserver.Numbered})
			if err := NewAccount("joe", p, oauth.Consent{}, store, nil).Keep(granted(0)); err != nil {
				t.Fatal(err)
			}
			if err := do(NewAccount("joe", p, oauth.ClientCredentials{}, store, nil)); err != nil {
				t.Fatal(err)
			}
			aside, err := filepath.Glob(dir + "/joe.json.other-*")
			if err != nil || len(aside) != 1 {
				t.Fatalf("put aside: %q, %v", aside, err)
			}
			if err := os.Rename(aside[0], dir+"/joe.json"); err != nil {
				t.Fatal(err)
			}
			if token, err := NewAccount("joe", p, oauth.Consent{}, store, nil).Token(t.Context(), ""); token != "token0" || err != nil {
				t.Errorf("back again: %q, %v", token, err)
			}
		})
	}
}

// TestCommandsAreSources: two commands have nothing else to be told apart by.
func TestCommandsAreSources(t *testing.T) {
	store := openStore(t, t.TempDir()+"/state")
	for _, want := range []string{"token1", "token2"} {
		a := NewAccount("joe", &oauth.Provider{Name: "example"}, oauth.Command{Args: []string{"/bin/echo", want}}, store, nil)
		if token, err := a.Token(t.Context(), ""); token != want || err != nil {
			t.Errorf("%q, %v, want %s", token, err, want)
		}
	}
}

// TestRefusedAppPassword: the account gives out the password again, as it may be
// only one of the mail servers that refuses it. What they say decides the status.
func TestRefusedAppPassword(t *testing.T) {
	a := NewPasswordAccount("joe", newProvider(&tokenserver.Server{}), "secret", openStore(t, t.TempDir()+"/state"), nil)
	if _, err := a.Token(t.Context(), "secret"); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("the refused password: %v", err)
	}
	if password, err := a.Token(t.Context(), ""); password != "secret" || err != nil || a.Status().State != Authorized {
		t.Errorf("%q, %v, %+v", password, err, a.Status())
	}
	a.LoginFailed("imap", ProblemRefused, "NO [AUTHENTICATIONFAILED] no", "")
	a.LoggedIn("smtp")
	if s := a.Status(); s.State != Failing || s.Why != "upstream refused (IMAP): NO [AUTHENTICATIONFAILED] no" {
		t.Errorf("status = %+v", s)
	}
	a.LoggedIn("imap")
	if s := a.Status(); s.State != Authorized || s.Why != "" {
		t.Errorf("status = %+v", s)
	}
}
