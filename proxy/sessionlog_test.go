package proxy

import "testing"

func TestUserText(t *testing.T) {
	for user, want := range map[string]string{
		"":                "",
		"joe@example.com": "joe@example.com",
		`joe@example.com\info@mail.example.co.uk`: `joe@example.com\info@mail.example.co.uk`,
		"joe@example.com*info@example.com":        "joe@example.com*info@example.com",
		"joe":                                     "j… (3 characters, no address)",
		"über":                                    "ü… (4 characters, no address)",
		"hunter2!@":                               "h… (9 characters, no address)",
		"p@ssw0rd":                                "p… (8 characters, no address)",
		"p@ssw0rd.1":                              "p… (10 characters, no address)",
		"@example.com":                            "@… (12 characters, no address)",
		`joe@example.com\hunter`:                  "j… (22 characters, no address)",
		"joe@example.com x":                       "j… (17 characters, no address)",
		"\x01joe":                                 "… (4 characters, no address)",
	} {
		r := &sessionRecord{lastAttempt: lastAttempt{user: user}}
		if got := r.userText(); got != want {
			t.Errorf("%q: %q, want %q", user, got, want)
		}
	}
}
