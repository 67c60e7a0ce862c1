package pop3

import (
	"strings"
	"testing"
)

const token = "ya29.a0Zx-Q7wLk_T3mVb9/Rp~sD1"

// TestCapabilityOf uses the capabilities that servers announce. A "-" marks a line
// that clients must not see.
func TestCapabilityOf(t *testing.T) {
	for _, test := range []struct {
		server string
		lines  []string
	}{
		{"Dovecot", []string{"TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE", "STLS", "USER", "SASL PLAIN LOGIN XOAUTH2", "-CAPA"}},
		{"Gmail", []string{"USER", "RESP-CODES", "EXPIRE 0", "LOGIN-DELAY 300", "TOP", "UIDL", "-X-GOOGLE-RICO", "SASL PLAIN XOAUTH2 OAUTHBEARER"}},
		{"Exchange Online", []string{"TOP", "UIDL", "SASL PLAIN XOAUTH2", "USER"}},
		{"others", []string{"EXPIRE NEVER", "EXPIRE 5 USER", "LOGIN-DELAY 120 USER", "UTF8 USER", "UTF8", "LANG", "SASL", "-IMPLEMENTATION Shlemazle-Plotz-v302", "-", "- "}},
		{"hostile", []string{"-" + token, "-X-" + token, "-EXPIRE " + token, "-LOGIN-DELAY 1" + token, "-LOGIN-DELAY 1234567890", "-UIDL " + token, "-IMPLEMENTATION " + token}},
	} {
		t.Run(test.server, func(t *testing.T) {
			for _, line := range test.lines {
				line, hidden := strings.CutPrefix(line, "-")
				if got, ok := capabilityOf(line); ok == hidden || ok && got != line {
					t.Errorf("%q became %q, %v", line, got, ok)
				}
			}
		})
	}
	if got, ok := capabilityOf("sasl plain " + token + "  xoauth2"); got != "SASL PLAIN XOAUTH2" || !ok {
		t.Errorf("%q", got)
	}
}
