package proxy

import (
	"fmt"
	"io"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
)

// TestAsRefusal checks that the errors of the dialogues and of the libraries have the same
// results.
func TestAsRefusal(t *testing.T) {
	no := func(code imap.ResponseCode) error { return &imap.Error{Type: "NO", Code: code, Text: "x"} }
	for _, test := range []struct {
		name    string
		err     error
		certain bool
		want    Result
		words   string
	}{
		{"IMAP", no(""), false, UpstreamRefused, "NO x"},
		{"IMAP, with a code", no("AUTHENTICATIONFAILED"), false, UpstreamRefused, "NO [AUTHENTICATIONFAILED] x"},
		{"IMAP, for now", no("inuse"), true, UpstreamDown, "NO [inuse] x"},
		{"IMAP, of what is not certain", no("ALERT"), false, UpstreamDown, "NO [ALERT] x"},
		{"IMAP, of what is certain", no("ALERT"), true, UpstreamRefused, "NO [ALERT] x"},
		{"IMAP, not understood", &imap.Error{Type: "BAD", Text: "x"}, false, UpstreamDown, "BAD x"},
		{"SMTP, by go-smtp", &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "x"}, false, UpstreamRefused, "535 5.7.8 x"},
		{"SMTP, without an enhanced code", &smtp.SMTPError{Code: 535, Message: "x"}, false, UpstreamRefused, "535 x"},
		{"SMTP, for now", &smtp.SMTPError{Code: 454, Message: "x"}, true, UpstreamDown, "454 x"},
		{"no answer", io.EOF, true, UpstreamDown, ""},
	} {
		u := &Upstream{}
		e := u.AsRefusal(fmt.Errorf("step: %w", test.err), test.certain)
		if e.Result != test.want || e.Reply() != test.words || e.Detail != "x" && test.words != "" {
			t.Errorf("%s: %+v", test.name, e)
		}
		if d := u.AsUnavailable(test.err); d.Result != UpstreamDown || d.Reply() != test.words {
			t.Errorf("%s, down: %+v", test.name, d)
		}
	}
}

// TestUnavailable checks that replies of an outage without a code are not refusals.
func TestUnavailable(t *testing.T) {
	for text, want := range map[string]Result{
		"Server Unavailable. 15":                                                 UpstreamDown,
		"Server Unavailable. 21":                                                 UpstreamDown,
		"Temporary authentication failure.":                                      UpstreamDown,
		"LOGIN Server error - Please try again later":                            UpstreamDown,
		"Internal error occurred. Refer to server log":                           UpstreamDown,
		"Service temporarily unavailable":                                        UpstreamDown,
		"Error: authentication failed: Connection lost to authentication server": UpstreamDown,
		"AUTHENTICATE failed.":                                                   UpstreamRefused,
		"Invalid credentials":                                                    UpstreamRefused,
		"Too many failed logins. Please try again later":                         UpstreamRefused,
		"Your account is temporarily locked":                                     UpstreamRefused,
	} {
		for _, err := range []error{
			&imap.Error{Type: "NO", Text: text},
			&pop3dialogue.Refusal{Text: text},
			&smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: text},
		} {
			if e := new(Upstream).AsRefusal(err, false); e.Result != want {
				t.Errorf("%v is %s, want %s", err, e.Result, want)
			}
		}
	}
}

// TestClientText checks that the codes in the upstream's reply do not reach the client, which
// would apply them to its own password.
func TestClientText(t *testing.T) {
	for _, err := range []error{
		&imap.Error{Type: "NO", Code: "AUTHENTICATIONFAILED", Text: "Invalid credentials (Failure)"},
		&imap.Error{Type: "NO", Text: "[AUTHENTICATIONFAILED] Invalid credentials (Failure)"},
		&pop3dialogue.Refusal{Code: "AUTH", Text: "Invalid credentials (Failure)"},
		&smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Invalid credentials (Failure)"},
	} {
		if got := new(Upstream).AsRefusal(err, false).text(); got != "the mail server does not let the account in: Invalid credentials (Failure)" {
			t.Errorf("%v: the client receives %q", err, got)
		}
	}
}
