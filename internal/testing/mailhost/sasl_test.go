package mailhost

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name        string
		parse       func(string) (string, string, bool)
		message     string
		user, token string // both empty if it must not be taken
	}{
		{"XOAUTH2", parseXOAUTH2, "user=u|auth=Bearer t||", "u", "t"},
		{"XOAUTH2 with more", parseXOAUTH2, "user=u|auth=Bearer t|host=h||", "u", "t"},
		{"XOAUTH2, empty", parseXOAUTH2, "", "", ""},
		{"XOAUTH2 without a user", parseXOAUTH2, "user=|auth=Bearer t||", "", ""},
		{"XOAUTH2 without a token", parseXOAUTH2, "user=u|auth=Bearer ||", "", ""},
		{"XOAUTH2 without auth", parseXOAUTH2, "user=u|host=h||", "", ""},
		{"XOAUTH2 of another scheme", parseXOAUTH2, "user=u|auth=Basic t||", "", ""},
		{"OAUTHBEARER", parseOAUTHBEARER, "n,a=u,|auth=Bearer t||", "u", "t"},
		{"OAUTHBEARER with an escaped name", parseOAUTHBEARER, "n,a=u=2Cv=3Dw,|auth=Bearer t||", "u,v=w", "t"},
		{"OAUTHBEARER without a name", parseOAUTHBEARER, "n,,|host=h|auth=Bearer t||", "", "t"},
		{"OAUTHBEARER, empty", parseOAUTHBEARER, "", "", ""},
		{"OAUTHBEARER with channel binding", parseOAUTHBEARER, "p=tls-exporter,a=u,|auth=Bearer t||", "", ""},
		{"OAUTHBEARER with an empty name", parseOAUTHBEARER, "n,a=,|auth=Bearer t||", "", ""},
		{"OAUTHBEARER with an unescaped name", parseOAUTHBEARER, "n,a=u=v,|auth=Bearer t||", "", ""},
		{"OAUTHBEARER with more header", parseOAUTHBEARER, "n,a=u,v,|auth=Bearer t||", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			user, token, ok := test.parse(strings.ReplaceAll(test.message, "|", "\x01"))
			if ok != (test.token != "") || ok && (user != test.user || token != test.token) {
				t.Errorf("got %q, %q, %v; want %q, %q", user, token, ok, test.user, test.token)
			}
		})
	}
}
