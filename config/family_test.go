package config

import "testing"

func TestFamily(t *testing.T) {
	for _, test := range []struct {
		name     string
		provider Provider
		family   string
		mail     string // of its IMAP server
	}{
		{"preset google", Provider{Preset: "google", IMAP: &Upstream{Host: "localhost"}}, FamilyGoogle, FamilyGoogle},
		{"preset microsoft", Provider{Preset: "microsoft", TokenURL: "https://login.example.com/token", IMAP: &Upstream{Host: "mail.example.com"}}, FamilyMicrosoft, FamilyMicrosoft},
		{"preset outlook", Provider{Preset: "outlook", IMAP: &Upstream{}}, FamilyMicrosoft, FamilyMicrosoft},
		{"preset icloud", Provider{Preset: "icloud", IMAP: &Upstream{}}, FamilyApple, FamilyApple},
		{"Entra for China", Provider{TokenURL: "https://login.partner.microsoftonline.cn/x/oauth2/v2.0/token", IMAP: &Upstream{Host: "partner.outlook.cn"}}, FamilyMicrosoft, FamilyMicrosoft},
		{"Google by its issuer", Provider{Issuer: "https://accounts.google.com", IMAP: &Upstream{Host: "IMAP.Gmail.com."}}, FamilyGoogle, FamilyGoogle},
		{"Yahoo", Provider{TokenURL: "https://api.login.yahoo.com/oauth2/get_token", IMAP: &Upstream{Host: "imap.mail.yahoo.com"}}, FamilyYahoo, FamilyYahoo},
		{"AOL", Provider{TokenURL: "https://api.login.aol.com/oauth2/get_token", IMAP: &Upstream{Host: "imap.aol.com"}}, FamilyYahoo, FamilyYahoo},
		{"self-hosted", Provider{TokenURL: "https://login.example.com/token", IMAP: &Upstream{Host: "imap.example.com"}}, "", ""},
		{"Entra tokens for a self-hosted mail server", Provider{TokenURL: "https://login.microsoftonline.com/x/oauth2/v2.0/token", IMAP: &Upstream{Host: "imap.example.com"}}, FamilyMicrosoft, ""},
		{"self-hosted tokens for Gmail", Provider{TokenURL: "https://login.example.com/token", IMAP: &Upstream{Host: "imap.gmail.com"}}, "", FamilyGoogle},
		{"same suffix, other domain", Provider{TokenURL: "https://notgoogle.com/token", IMAP: &Upstream{Host: "imap.notgmail.com"}}, "", ""},
		{"same prefix, other domain", Provider{TokenURL: "https://google.com.example/token", IMAP: &Upstream{Host: "gmail.com.example"}}, "", ""},
		{"a command", Provider{IMAP: &Upstream{Host: "imap.example.com"}}, "", ""},
	} {
		if got := test.provider.Family(); got != test.family {
			t.Errorf("%s: %q, want %q", test.name, got, test.family)
		}
		if got := test.provider.FamilyOf(test.provider.IMAP); got != test.mail {
			t.Errorf("%s: the mail server's is %q, want %q", test.name, got, test.mail)
		}
	}
}
