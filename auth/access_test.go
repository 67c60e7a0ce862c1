package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// TestAccess: what a grant opens is what mail servers have said last.
func TestAccess(t *testing.T) {
	g := granted(0)
	g.Scope = "mail,send openid"
	withdrawn := g
	withdrawn.Withdrawn = "no more"
	ended := granted(2 * time.Hour)
	ended.RefreshToken = ""
	for _, test := range []struct {
		name   string
		grant  oauth.Grant
		before func(a *Account)
		want   Access
	}{
		{"nothing is there", oauth.Grant{}, nil, Access{}},
		{"no server was asked yet", g, nil, Access{Usable: true}},
		{"two have accepted", g, func(a *Account) { a.LoggedIn("smtp"); a.LoggedIn("imap") },
			Access{Usable: true, Known: true, Protocols: []string{"imap", "smtp"}}},
		{"one has refused since", g, func(a *Account) {
			a.LoggedIn("smtp")
			a.LoggedIn("imap")
			a.LoginFailed("smtp", ProblemRefused, "535", "")
		}, Access{Usable: true, Known: true, Protocols: []string{"imap"}}},
		{"one is down now", g, func(a *Account) { a.LoggedIn("smtp"); a.LoginFailed("smtp", ProblemUnavailable, "no route", "") },
			Access{Usable: true, Known: true, Protocols: []string{"smtp"}}},
		{"one never accepted", g, func(a *Account) { a.LoginFailed("smtp", ProblemRefused, "535", "") }, Access{Usable: true, Known: true}},
		{"withdrawn", withdrawn, nil, Access{}},
		{"ended", ended, nil, Access{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, test.grant)
				if test.before != nil {
					test.before(a)
				}
				got := a.Access()
				if got.Usable != test.want.Usable || got.Known != test.want.Known || !slices.Equal(got.Protocols, test.want.Protocols) ||
					strings.Join(got.Scopes, " ") != strings.ReplaceAll(test.grant.Scope, ",", " ") {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			})
		})
	}
}

// TestReplace: what was looked at is what is replaced, or nothing is.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, granted(0))
		next := func(token string) oauth.Grant {
			g := granted(0)
			g.AccessToken, g.RefreshToken = token, token
			return g
		}
		early := a.Access()
		if replaced, err := a.Replace(next("new"), a.Access()); err != nil || replaced.RefreshToken != "refresh0" {
			t.Errorf("replaced %+v, %v", replaced, err)
		}
		for name, change := range map[string]func(){
			"another was kept": func() {},
			"it was forgotten": func() {
				early = a.Access()
				if err := a.Forget("ann"); err != nil {
					t.Fatal(err)
				}
			},
		} {
			change()
			if replaced, err := a.Replace(next("late"), early); !errors.Is(err, ErrReplaced) || !replaced.Empty() {
				t.Errorf("%s: replaced %+v, %v", name, replaced, err)
			}
			if token, _ := a.Token(t.Context(), ""); token == "late" {
				t.Errorf("%s: the late grant is in use", name)
			}
		}
	})
}
