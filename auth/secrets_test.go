package auth

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

// What an earlier version has kept of a provider's words may hold the grant.
func TestKeptWordsAreRedacted(t *testing.T) {
	const refreshToken = "1//09hX-qPz_7dKcYIARAAGAkSNwF-L9IrV2mT~uQ4/b.W8+s6oNfJgEx="
	g := granted(time.Hour)
	g.RefreshToken, g.Withdrawn = refreshToken, "token endpoint: invalid_grant: "+url.QueryEscape(refreshToken)
	a := testAccount(t, &tokenserver.Server{Answer: tokenserver.Numbered}, g)
	if text := fmt.Sprintf("%+v", a.Status()); !redact.New(refreshToken).Clean(text) {
		t.Error(text)
	}
}

// TestConfiguredPasswords: tokens that a provider issues do not displace the passwords
// of the configuration.
func TestConfiguredPasswords(t *testing.T) {
	const userPassword = "correct horse+battery/staple"
	store := openStore(t, stateDir(t))
	for name, create := range map[string]func(p *oauth.Provider){
		"app password": func(p *oauth.Provider) { NewPasswordAccount("joe", p, userPassword, store, nil) },
		"resource owner": func(p *oauth.Provider) {
			NewAccount("joe", p, oauth.ResourceOwner{User: "joe", Password: userPassword}, store, nil)
		},
	} {
		p := newProvider(&tokenserver.Server{Answer: tokenserver.Numbered})
		create(p)
		for i := range 5 {
			p.AddSecrets(strings.Repeat(string(rune('a'+i)), 2<<20))
		}
		if got := p.Redact("it is " + userPassword); got != "it is "+redact.Hidden {
			t.Errorf("%s: %q", name, got)
		}
	}
}
