package smtp

import (
	"slices"
	"strings"
	"testing"
)

const token = "ya29.a0Zx-Q7wLk_T3mVb9/Rp~sD1"

// TestExtensionOf uses the extensions that servers announce. A "-" marks a line that
// clients must not see.
func TestExtensionOf(t *testing.T) {
	for _, test := range []struct {
		server string
		lines  []string
	}{
		{"Postfix", []string{"PIPELINING", "SIZE 10240000", "VRFY", "-ETRN", "STARTTLS", "AUTH PLAIN LOGIN XOAUTH2", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "-XCLIENT NAME ADDR", "-XFORWARD NAME"}},
		{"Exim", []string{"SIZE 52428800", "LIMITS MAILMAX=1000 RCPTMAX=100", "8BITMIME", "PIPELINING", "-PIPECONNECT", "-X_PIPE_CONNECT", "AUTH PLAIN LOGIN", "CHUNKING", "STARTTLS", "-PRDR", "SMTPUTF8", "HELP"}},
		{"Dovecot", []string{"8BITMIME", "AUTH PLAIN XOAUTH2 OAUTHBEARER", "BURL imap", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE 41943040", "PIPELINING", "-XCLIENT ADDR PORT"}},
		{"Gmail", []string{"SIZE 35882577", "8BITMIME", "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8"}},
		{"Exchange Online", []string{"SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "AUTH LOGIN XOAUTH2", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8", "-X-EXPS GSSAPI NTLM", "-XEXCH50"}},
		{"others", []string{"SIZE", "SIZE 0", "DELIVERBY", "DELIVERBY 240", "MT-PRIORITY", "MT-PRIORITY MIXER", "REQUIRETLS", "RRVS", "XVERP", "FUTURERELEASE 86400 2026-12-31T00:00:00Z", "-FUTURERELEASE", "-", "- ", "-8 BITMIME"}},
		{"hostile", []string{"-" + token, "-X-" + token, "-SIZE " + token, "-SIZE 1" + token, "-SIZE 123456789012345678901", "-PIPELINING " + token, "-LIMITS " + token, "-LIMITS RCPTMAX=" + token, "-BURL " + token, "-SIZE=" + token, "-DELIVERBY 1 " + token}},
	} {
		t.Run(test.server, func(t *testing.T) {
			for _, line := range test.lines {
				line, hidden := strings.CutPrefix(line, "-")
				if got, ok := extensionOf(line); ok == hidden || ok && got != line {
					t.Errorf("%q became %q, %v", line, got, ok)
				}
			}
		})
	}
	for line, want := range map[string]string{
		"auth=plain " + token + " xoauth2": "AUTH PLAIN XOAUTH2",
		"AUTH " + token:                    "AUTH",
		"size  1000 ":                      "SIZE 1000",
		"8bitmime ":                        "8BITMIME",
	} {
		if got, ok := extensionOf(line); got != want || !ok {
			t.Errorf("%q became %q", line, got)
		}
	}
}

// FuzzExtensionOf checks that a line for clients begins with a known extension, and
// that extensionOf does not change its own result.
func FuzzExtensionOf(f *testing.F) {
	f.Add("SIZE 1")
	f.Add("auth=LOGIN " + token)
	f.Add("X-" + token)
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := extensionOf(line)
		if !ok {
			return
		}
		name := strings.Fields(got)[0]
		if name != "AUTH" && !slices.ContainsFunc(known, func(e extension) bool { return e.name == name }) {
			t.Errorf("%q became %q", line, got)
		}
		if again, ok := extensionOf(got); again != got || !ok {
			t.Errorf("%q became %q and that %q", line, got, again)
		}
	})
}
