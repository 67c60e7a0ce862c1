package doctor

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/xoauthd/xoauthd/internal/step"
)

const (
	tenant = "11111111-2222-3333-4444-555555555555"
	entra  = "https://sts.windows.net/" + tenant + "/"
)

// signed returns a JWT with the claims of an Entra token for a person, and with more.
func signed(t *testing.T, more map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("key", 20))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"aud": "https://outlook.office.com", "iss": entra, "tid": tenant, "upn": alice, "appid": "the-app",
		"scp": "IMAP.AccessAsUser.All SMTP.Send", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestClaims(t *testing.T) {
	for _, test := range []struct {
		name    string
		claims  func() map[string]any
		outcome step.Outcome
		cause   string
		remedy  string // a part
	}{
		{"all is right", func() map[string]any { return nil }, step.OK, "", ""},
		{"the audience is Exchange by its id", func() map[string]any {
			return map[string]any{"aud": "00000002-0000-0ff1-ce00-000000000000"}
		}, step.OK, "", ""},
		{"it is an application's own", func() map[string]any {
			return map[string]any{"scp": nil, "upn": nil, "roles": []string{"IMAP.AccessAsApp", "SMTP.SendAsApp"}, "aud": "https://outlook.office365.com/"}
		}, step.OK, "", ""},
		{"it is for Graph", func() map[string]any { return map[string]any{"aud": "https://graph.microsoft.com"} },
			step.Failed, "the token is for https://graph.microsoft.com, not for the mail servers", "wrong resource"},
		{"a scope is missing", func() map[string]any { return map[string]any{"scp": "IMAP.AccessAsUser.All"} },
			step.Failed, "scp has no SMTP.Send, which SMTP needs", "https://outlook.office.com/SMTP.Send"},
		{"a role is missing", func() map[string]any {
			return map[string]any{"scp": nil, "upn": nil, "roles": []string{"SMTP.SendAsApp"}}
		},
			step.Failed, "roles has no IMAP.AccessAsApp, which IMAP needs", "application permission IMAP.AccessAsApp"},
		{"it is another's", func() map[string]any { return map[string]any{"upn": "bob@example.com"} },
			step.Warning, "the token is of bob@example.com, and logs in as " + alice, "signed in as " + alice},
		{"it is of another tenant", func() map[string]any { return map[string]any{"tid": "other"} },
			step.Warning, "the tenant of the token is other, but " + tenant + " is configured", "Check the tenant"},
		{"it has ended", func() map[string]any { return map[string]any{"exp": time.Now().Add(-time.Hour).Unix()} },
			step.Failed, "the token expired 60 minutes ago", "clock"},
		{"it is of tomorrow", func() map[string]any { return map[string]any{"iat": time.Now().Add(time.Hour).Unix()} },
			step.Warning, "the token was issued 60 minutes from now", "clock"},
		{"another's means other things", func() map[string]any {
			return map[string]any{"iss": "https://login.example.com", "scp": "mail", "aud": "mail", "upn": "a1"}
		}, step.OK, "", ""},
		{"other claims are not as expected", func() map[string]any { return map[string]any{"roles": 5} }, step.OK, "", ""},
		{"it has control characters", func() map[string]any { return map[string]any{"upn": alice, "iss": "\x1b[2J\u009b\u202e"} }, step.OK, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				token := signed(t, test.claims())
				e := newEnv(t, token)
				e.subject.Provider.TokenURL = "https://login.example.com/" + tenant + "/oauth2/v2.0/token"
				r, _, _ := e.examine()
				s := findStep(t, r, "claims of the token")
				if s.Outcome != test.outcome || s.Cause != test.cause || !strings.Contains(s.Remedy, test.remedy) {
					t.Errorf("%s: cause %q, remedy %q", s.Outcome, s.Cause, s.Remedy)
				}
				// The server has the last word on the token.
				if l := findStep(t, r, "IMAP login at imap.example.com:993"); l.Outcome != step.OK {
					t.Errorf("%+v", l)
				}
			})
		})
	}
}

func TestClaimsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, signed(t, nil))
		r, _, _ := e.examine()
		s := findStep(t, r, "claims of the token")
		want := "for https://outlook.office.com, by " + entra + ", of " + alice + ", scopes IMAP.AccessAsUser.All SMTP.Send"
		if s.Detail != want {
			t.Errorf("%q, want %q", s.Detail, want)
		}
		for name, want := range map[string]any{"tid": tenant, "appid": "the-app", "upn": alice, "exp": "2000-01-01T01:00:00Z"} {
			if s.Facts[name] != want {
				t.Errorf("%s: %v, want %v", name, s.Facts[name], want)
			}
		}
	})
}

func TestTenantOf(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token": tenant,
		"https://login.microsoftonline.com/common/oauth2/v2.0/token":         "",
		"https://oauth2.googleapis.com/token":                                "",
		"://":                                                                "",
	} {
		if got := tenantOf(endpoint); got != want {
			t.Errorf("%s: %q, want %q", endpoint, got, want)
		}
	}
}
