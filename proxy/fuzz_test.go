package proxy

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// FuzzReply checks that the reply of any upstream reaches the client in one line of ASCII that
// fits a reply, and the log in one line, and that the hint is one of the table.
func FuzzReply(f *testing.F) {
	hints := map[string]bool{"": true}
	for _, known := range knownResponses() {
		hints[known.Hint] = true
		for _, match := range known.Match {
			f.Add(match, "ALERT", true)
		}
	}
	f.Add("5.7.8 no\r\n235 yes\x00", "[x]", false)
	f.Add(strings.Repeat("ü", 1000), "SYS/TEMP", false)
	f.Fuzz(func(t *testing.T, words, code string, certain bool) {
		for _, u := range []*Upstream{{}, {Family: Apple, Mechanism: "password"}, {WithoutConsent: true}, {Family: Google}, {Family: Microsoft}} {
			for _, err := range []error{
				&imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCode(code), Text: words},
				&smtpdialogue.Refusal{SMTPError: smtp.SMTPError{Code: 535, EnhancedCode: smtp.NoEnhancedCode, Message: words}},
				&pop3dialogue.Refusal{Code: code, Text: words},
			} {
				e := u.AsRefusal(err, certain)
				// Each reply has less than a hundred bytes beside it.
				if text := e.text(); len(text) > 512-100 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("the client receives %q", text)
				}
				if line := logText(e); len(line) > 1000+len("…") || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("the log has %q", line)
				}
				hint, _, _ := strings.Cut(Hint(e), " Open this address: ")
				if !hints[hint] {
					t.Errorf("hint %q", hint)
				}
			}
		}
	})
}
