package doctor

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/step"
)

func TestTokenSource(t *testing.T) {
	for _, test := range []struct {
		name   string
		before time.Duration // the token's life; none if zero
		want   string
	}{
		{"it was there", time.Hour, "from memory, 60 minutes left"},
		{"it was replaced", time.Minute, "refreshed, 60 minutes left"},
		{"there was none", 0, "new, 60 minutes left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.status.Expiry = time.Now().Add(test.before)
				if test.before == 0 {
					e.status.Expiry = time.Time{}
				}
				e.subject.Token = func(context.Context, string) (string, error) {
					e.status.Expiry = time.Now().Add(time.Hour)
					return opaque, nil
				}
				r, _, _ := e.examine()
				if s := findStep(t, r, "access token"); s.Detail != test.want {
					t.Errorf("%q, want %q", s.Detail, test.want)
				}
			})
		})
	}
}

func TestTokenRemedy(t *testing.T) {
	client := &oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_client"}
	file := &oauth.Error{Kind: oauth.Misconfigured, Err: errors.New("federated token: no such file: have it written there")}
	for _, test := range []struct {
		name  string
		err   error
		flow  flow.Flow
		proof string
		want  string // its beginning
	}{
		{"a person has to", fmt.Errorf("wrapped: %w", &oauth.Error{Kind: oauth.NeedsConsent, Code: "x"}), "", "", "Authorize it."},
		{"a person has to, and it is known why", &oauth.Error{Kind: oauth.NeedsConsent, Code: "invalid_grant"}, "", "", "The provider has ended the grant"},
		{"the secret", client, "", "client_secret", "Check client_id, client_secret and auth_style in the section of provider example."},
		{"no secret", client, "", "", "Check client_id in the section of provider example, and whether this client needs a client_secret."},
		{"the certificate", client, "", "client_certificate", "Check client_id and client_certificate in the section"},
		{"the file", file, "", "client_assertion_file", ""},
		{"the secret, and it is known why", &oauth.Error{Kind: oauth.Misconfigured, Family: oauth.Microsoft, Code: "invalid_client", Description: "AADSTS7000222: x"}, "", "client_secret",
			"The client secret has expired."},
		{"something else of the registration", &oauth.Error{Kind: oauth.Misconfigured, Code: "x"}, "", "client_secret",
			"Check client_id and the scopes in the section of provider example."},
		{"the command", &oauth.Error{Kind: oauth.Temporary, Err: errors.New("command oama: exit status 1")}, "command", "", "Run the command by hand"},
		{"the command that is not there", file, "command", "", "Run the command by hand"},
		{"nobody has to", &oauth.Error{Kind: oauth.Temporary, Status: 503}, "", "",
			"The provider has a fault of its own. xoauthd tries again by itself."},
		{"nobody knows", errors.New("what is this"), "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.subject.Remedy = "Authorize it."
				e.subject.Flow, e.subject.Provider.Proof = test.flow, test.proof
				e.subject.Hint = func(err error) string {
					var e *oauth.Error
					if errors.As(err, &e) {
						return e.Hint()
					}
					return ""
				}
				e.subject.Token = func(context.Context, string) (string, error) { return "", test.err }
				r, _, _ := e.examine()
				s := findStep(t, r, "access token")
				if s.Outcome != step.Failed || !strings.HasPrefix(s.Remedy, test.want) || (s.Remedy == "") != (test.want == "") {
					t.Errorf("%s: %q, want %q", s.Outcome, s.Remedy, test.want)
				}
				if s := findStep(t, r, "IMAP login at imap.example.com:993"); s.Outcome != step.Skipped {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A token that is refused is replaced as in a session: once, and by one that is
// good for all that follows.
func TestRefusedToken(t *testing.T) {
	const imap, smtp = "IMAP login at imap.example.com:993", "SMTP login at smtp.example.com:587"
	const refused = `OAUTHBEARER: NO [AUTHENTICATIONFAILED] Invalid credentials ({"status":"invalid_token","schemes":"bearer","scope":"mail"})`
	const revoked = "ya29.revoked-before-its-time-0123456789"
	for _, test := range []struct {
		name     string
		password bool
		other    string
		err      error
		asked    int
		outcomes []step.Outcome // of the second token, and of both logins
		cause    string         // of the first two of these
		remedy   string
	}{
		{"there is another", false, opaque, nil, 2, []step.Outcome{step.OK, step.OK, step.OK}, "", ""},
		{"which is refused as well", false, "ya29.no-better-than-the-one-before-it", nil, 2,
			[]step.Outcome{step.OK, step.Failed, step.Failed}, refused, "Hint: upstream_refused."},
		{"a person has to", false, "", &oauth.Error{Kind: oauth.NeedsConsent, Code: "invalid_grant"}, 2,
			[]step.Outcome{step.Failed, step.Skipped, step.Skipped}, "token endpoint: invalid_grant", "Hint: nothing is known. Authorize it."},
		{"none for now", false, "", &oauth.Error{Kind: oauth.Temporary, Status: 503}, 2,
			[]step.Outcome{step.Warning, step.Failed, step.Failed}, "there is no other: token endpoint: HTTP status 503" + refused,
			"Hint: nothing is known.Hint: nothing is known."},
		{"a password is what it is", true, "", nil, 1, []step.Outcome{"", step.Failed, step.Failed},
			"LOGIN: NO [AUTHENTICATIONFAILED] Passwords are not accepted: use XOAUTH2 or OAUTHBEARER", "Hint: upstream_refused."},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.subject.Remedy = "Authorize it."
				for _, u := range e.subject.Upstreams {
					u.Mechanism = "oauthbearer"
					if test.password {
						e.subject.Flow = flow.AppPassword
						u.Mechanism = "password"
					}
				}
				asked := 0
				e.subject.Token = func(_ context.Context, stale string) (string, error) {
					if asked++; asked == 1 && stale == "" {
						return revoked, nil
					}
					if stale != revoked {
						t.Errorf("stale is %q", stale)
					}
					return test.other, test.err
				}
				r, text, _ := e.examine()
				var told, remedy string
				for i, name := range []string{"access token, after it was refused", imap, smtp} {
					if test.outcomes[i] == "" {
						continue
					}
					s := findStep(t, r, name)
					if s.Outcome != test.outcomes[i] {
						t.Errorf("%s: %s, %s", name, s.Outcome, s.Cause)
					}
					if i < 2 {
						told, remedy = told+s.Cause, remedy+s.Remedy
					}
				}
				if told != test.cause || remedy != test.remedy || asked != test.asked {
					t.Errorf("%s; %s; asked %d times:\n%s", told, remedy, asked, text)
				}
				if strings.Contains(text, revoked) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(revoked))[:20]) {
					t.Errorf("the first token is told:\n%s", text)
				}
			})
		})
	}
}
