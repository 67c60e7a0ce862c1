package proxy

import (
	"fmt"
	"io"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"
)

// What an upstream says means the same, whoever talks to it.
func TestRefused(t *testing.T) {
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
		e := u.Refused(fmt.Errorf("step: %w", test.err), test.certain)
		if e.Result != test.want || e.Detail != test.words || e.upstream != u {
			t.Errorf("%s: %+v", test.name, e)
		}
		if d := u.Down(test.err); d.Result != UpstreamDown || d.Detail != test.words || d.upstream != u {
			t.Errorf("%s, down: %+v", test.name, d)
		}
	}
}
