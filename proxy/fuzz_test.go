package proxy

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	pop3dialogue "github.com/xoauthd/xoauthd/proxy/pop3"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// FuzzWords: whatever an upstream says when it refuses, the client is told of it
// in one line of ASCII that fits a reply, the log in one line, and the hint is one
// of ours.
func FuzzWords(f *testing.F) {
	ours := make(map[string]bool)
	for _, hint := range []string{"", otherMailbox, noRight, appPassword, appleMailbox} {
		ours[hint] = true
	}
	for _, families := range []sayings{always, ofTokens, ofPasswords} {
		for _, all := range families {
			for _, s := range all {
				ours[s.hint] = true
				f.Add(s.code+" "+s.words, "ALERT", true)
			}
		}
	}
	f.Add("5.7.8 no\r\n235 yes\x00", "[x]", false)
	f.Add(strings.Repeat("ü", 1000), "SYS/TEMP", false)
	f.Fuzz(func(t *testing.T, words, code string, certain bool) {
		for _, u := range []*Upstream{{}, {Family: Apple, Mechanism: "password"}, {Unattended: true}, {Family: Google}, {Family: Microsoft}} {
			for _, err := range []error{
				&imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCode(code), Text: words},
				&smtpdialogue.Refusal{SMTPError: smtp.SMTPError{Code: 535, EnhancedCode: smtp.NoEnhancedCode, Message: words}},
				&pop3dialogue.Refusal{Code: code, Text: words},
			} {
				e := u.Refused(err, certain)
				// Each reply has less than a hundred octets beside it.
				if text := e.text(); len(text) > 512-100 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("told as %q", text)
				}
				if line := reason(e); len(line) > 1000+len("…") || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("logged as %q", line)
				}
				hint, _, _ := strings.Cut(Hint(e), " It is done at this address: ")
				if !ours[hint] {
					t.Errorf("hint %q", hint)
				}
			}
		}
	})
}
