package authorize

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/xoauthd/xoauthd/auth/oauth"
)

func TestPieces(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"Nothing to keep - at all": "Nothing to keep - at all",
		"Run Set-CASMailbox -SmtpClientAuthenticationDisabled $false.": "Run [Set-CASMailbox] [-SmtpClientAuthenticationDisabled] $false.",
		"app-only": "[app-only]",
		"a  b-c ":  "a  [b-c] ",
	} {
		got := ""
		for _, p := range pieces(text) {
			if p.NoBreak {
				p.Text = "[" + p.Text + "]"
			}
			got += p.Text
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestHints(t *testing.T) {
	for _, test := range []struct{ name, hint, want string }{
		{"code of Microsoft", callbackHint(newAccount("joe@example.com").account(), "access_denied", "AADSTS65004: declined"), "declined"},
		{"unknown code of Microsoft", callbackHint(newAccount("joe@example.com").account(), "access_denied", "AADSTS99999: x"), "agree to what is asked"},
		{"unknown error", callbackHint(newAccount("joe@example.com").account(), "x_y", ""), "Try again"},
		{"wrong secret", exchangeHint(&oauth.Error{Code: "invalid_client"}), "secret or certificate"},
		{"wrong secret at Microsoft", exchangeHint(fmt.Errorf("token: %w", &oauth.Error{Family: oauth.Microsoft, Code: "invalid_client", Description: "AADSTS7000215: Invalid"})), "instead of its value"},
		{"invalid code", exchangeHint(&oauth.Error{Code: "invalid_grant", Description: "Malformed auth code."}), "The code has already been used"},
		{"invalid code at Microsoft", exchangeHint(&oauth.Error{Family: oauth.Microsoft, Code: "invalid_grant", Description: "AADSTS50173: revoked"}), "password was changed"},
		{"internal error of the provider", callbackHint(newAccount("joe@example.com").account(), "server_error", ""), "has an internal error"},
		{"internal error of the token endpoint", exchangeHint(&oauth.Error{Status: 500}), "has an internal error"},
		{"unknown error of the token endpoint", exchangeHint(&oauth.Error{Code: "x_y"}), "check the provider's section"},
		{"network", exchangeHint(errDialing), "cannot be reached"},
		{"no descriptor", exchangeHint(fmt.Errorf("token: %w", &net.OpError{Op: "dial", Err: syscall.EMFILE})), "LimitNOFILE="},
		{"other error", exchangeHint(errors.New("x")), ""},
	} {
		if !strings.Contains(test.hint, test.want) || test.want == "" && test.hint != "" {
			t.Errorf("%s: %q, want %q", test.name, test.hint, test.want)
		}
	}
}

func TestDescribeScope(t *testing.T) {
	for scope, want := range map[string]string{
		"https://mail.google.com/":                   "read, send and delete mail",
		"https://outlook.office365.us/SMTP.Send":     "send mail by SMTP",
		"https://www.fastmail.com/dev/protocol-imap": "read and change mail by IMAP",
		"mail-w": "read, send and delete mail",
		"https://www.googleapis.com/auth/userinfo.email":  "",
		"https://www.googleapis.com/auth/gmail.something": "",
		"": "",
	} {
		if got := describeScope(scope); got != want {
			t.Errorf("%s: %q, want %q", scope, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	for _, test := range []struct {
		counts [numSections]int
		want   string
	}{
		{[numSections]int{}, "No account is configured."},
		{[numSections]int{healthy: 1}, "1 account, all working."},
		{[numSections]int{healthy: 3}, "3 accounts, all working."},
		{[numSections]int{needsAuthorization: 1, healthy: 2}, "3 accounts: 2 working, 1 awaiting authorization."},
		{[numSections]int{failing: 2, healthy: 1}, "3 accounts: 1 working, 2 failing."},
		{[numSections]int{needsAuthorization: 2, failing: 1, disabled: 1}, "4 accounts: 0 working, 2 awaiting authorization, 1 failing, 1 disabled."},
	} {
		if got := summary(test.counts); got != test.want {
			t.Errorf("%v: %q, want %q", test.counts, got, test.want)
		}
	}
}
