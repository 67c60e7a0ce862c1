package sasl

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		name, wanted string
		offered      []string
		want         string
	}{
		{"XOAUTH2 if both are offered", "auto", []string{"OAUTHBEARER", "PLAIN", "XOAUTH2"}, XOAUTH2},
		{"OAUTHBEARER if only it is offered", "", []string{"PLAIN", "OAUTHBEARER"}, OAUTHBEARER},
		{"configured", "oauthbearer", []string{"OAUTHBEARER", "XOAUTH2"}, OAUTHBEARER},
		{"in lower case", "auto", []string{"xoauth2"}, XOAUTH2},
		{"configured, but not offered", "oauthbearer", []string{"XOAUTH2"}, ""},
		{"none", "auto", []string{"PLAIN", "LOGIN"}, ""},
		{"PLAIN if both are offered", "password", []string{"LOGIN", "PLAIN", "XOAUTH2"}, PLAIN},
		{"LOGIN if only it is offered", "password", []string{"login", "CRAM-MD5"}, LOGIN},
		{"LOGIN configured", "login", []string{"LOGIN", "PLAIN"}, LOGIN},
		{"a password, but only token mechanisms", "password", []string{"XOAUTH2"}, ""},
		{"nothing offered", "auto", nil, ""},
	} {
		got, err := Choose(test.wanted, test.offered)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
		if takes := got == PLAIN || got == LOGIN; got != "" && TakesPassword(test.wanted) != takes {
			t.Errorf("%s: TakesPassword is %v", test.name, !takes)
		}
	}
	for want, offered := range map[string][]string{
		"server does not offer PLAIN or LOGIN; it offers XOAUTH2 OAUTHBEARER": {"XOAUTH2", "OAUTHBEARER"},
		"server does not offer PLAIN or LOGIN; it offers no mechanism":        nil,
	} {
		if _, err := Choose("password", offered); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestTokenClient(t *testing.T) {
	for _, test := range []struct {
		mechanism, user, ir, dummy string
	}{
		{XOAUTH2, "joe@example.com", "user=joe@example.com\x01auth=Bearer to.ken\x01\x01", ""},
		{OAUTHBEARER, "joe@example.com",
			"n,a=joe@example.com,\x01host=mail.example.com\x01port=993\x01auth=Bearer to.ken\x01\x01", "\x01"},
		{OAUTHBEARER, "a=b,c",
			"n,a=a=3Db=2Cc,\x01host=mail.example.com\x01port=993\x01auth=Bearer to.ken\x01\x01", "\x01"},
	} {
		c, err := NewClient(test.mechanism, test.user, "to.ken", "mail.example.com", 993)
		if err != nil {
			t.Fatal(err)
		}
		name, ir, err := c.Start()
		if name != test.mechanism || string(ir) != test.ir || err != nil {
			t.Errorf("Start = %q, %q, %v; want %q", name, ir, err, test.ir)
		}
		answer, err := c.Next([]byte(`{"status":"401"}`))
		if answer == nil || string(answer) != test.dummy || err != nil {
			t.Errorf("%s: answer to the refusal is %q, %v; want %q", name, answer, err, test.dummy)
		}
		if c.Challenge() != `{"status":"401"}` {
			t.Errorf("challenge = %q", c.Challenge())
		}
		if _, err := c.Next(nil); err == nil {
			t.Error("a second challenge is answered")
		}
	}
}

func TestTokenClientInvalid(t *testing.T) {
	for _, test := range []struct{ name, user, token string }{
		{"a field added to the name", "a@b\x01auth=Bearer x", "t-o-k-e-n"},
		{"a line in the name", "a@b\r\nMAIL", "t-o-k-e-n"},
		{"NUL in the name", "a@b\x00", "t-o-k-e-n"},
		{"a field added to the token", "a@b", "token\x01host=x"},
		{"a line in the token", "a@b", "token\r\n"},
		{"a space in the token", "a@b", "to ken"},
		{"no token", "a@b", ""},
		{"a token that is too long", "a@b", strings.Repeat("x", maxToken+1)},
	} {
		for _, mechanism := range []string{XOAUTH2, OAUTHBEARER} {
			if _, err := NewClient(mechanism, test.user, test.token, "h", 1); err == nil {
				t.Errorf("%s: %s accepts it", mechanism, test.name)
			} else if test.token != "" && strings.Contains(err.Error(), test.token) {
				t.Errorf("%s: the error shows the token: %v", test.name, err)
			}
		}
	}
}

func TestServe(t *testing.T) {
	for _, test := range []struct {
		name, mechanism string
		ir              string // "none" if there is none
		answers         []string
		challenges      []string
		want            Credentials
		wrong           ClientError
	}{
		{"PLAIN with an initial response", "PLAIN", "AGpvZQBwYXNz", nil, nil, Credentials{User: "joe", Password: "pass"}, ""},
		{"PLAIN after a challenge", "plain", "none", []string{"AGpvZQBwYXNz"}, []string{""}, Credentials{User: "joe", Password: "pass"}, ""},
		{"PLAIN with the own identity", "PLAIN", "am9lAGpvZQBwYXNz", nil, nil, Credentials{User: "joe", Password: "pass"}, ""},
		{"PLAIN with another identity", "PLAIN", "YW5uAGpvZQBwYXNz", nil, nil, Credentials{}, "authorization identity differs from the user name"},
		{"PLAIN with two parts", "PLAIN", "am9lAHBhc3M=", nil, nil, Credentials{}, "sasl: invalid response"},
		{"PLAIN with an empty response", "PLAIN", "=", nil, nil, Credentials{}, "sasl: invalid response"},
		{"LOGIN", "LOGIN", "none", []string{"am9l", "cGFzcw=="}, []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"}, Credentials{User: "joe", Password: "pass"}, ""},
		{"LOGIN with an initial response", "login", "am9l", []string{"cGFzcw=="}, []string{"UGFzc3dvcmQ6"}, Credentials{User: "joe", Password: "pass"}, ""},
		{"PLAIN not in base64", "PLAIN", "joe", nil, nil, Credentials{}, "not base64"},
		{"LOGIN answered not in base64", "LOGIN", "none", []string{"joe!"}, []string{"VXNlcm5hbWU6"}, Credentials{}, "not base64"},
		{"canceled", "LOGIN", "none", []string{"am9l", "*"}, []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"}, Credentials{}, "canceled"},
	} {
		var got Credentials
		var challenges []string
		mechanism, err := NewServer(test.mechanism, OwnTokens, &got)
		if err != nil {
			t.Fatal(err)
		}
		err = Serve(mechanism, test.ir, test.ir != "none", func(challenge string) (string, error) {
			challenges = append(challenges, challenge)
			answer := test.answers[0]
			test.answers = test.answers[1:]
			return answer, nil
		})
		var wrong ClientError
		if errors.As(err, &wrong); wrong != test.wrong || (err == nil) != (wrong == "") {
			t.Errorf("%s: %v, want %q", test.name, err, test.wrong)
		}
		if (err == nil && got != test.want) || !slices.Equal(challenges, test.challenges) {
			t.Errorf("%s: %v, challenges %q", test.name, got, challenges)
		}
	}
	mechanism, err := NewServer("PLAIN", Passwords, new(Credentials))
	if err != nil {
		t.Fatal(err)
	}
	errClosed := errors.New("closed")
	if err := Serve(mechanism, "", false, func(string) (string, error) { return "", errClosed }); err != errClosed {
		t.Errorf("Serve returns %v, want the error of ask", err)
	}
}

func TestNewServerInvalid(t *testing.T) {
	for _, test := range []struct {
		mechanism string
		offered   []string
		want      ClientError
	}{
		{"CRAM-MD5", Passwords, "supported mechanisms: PLAIN LOGIN"},
		{"CRAM-MD5", OwnTokens, "supported mechanisms: PLAIN LOGIN XOAUTH2 OAUTHBEARER"},
		{"", Passwords, "supported mechanisms: PLAIN LOGIN"},
		{"XOAUTH2", Passwords, "xoauthd obtains access tokens itself: log in with a user name and a password, by PLAIN or LOGIN"},
		{"oauthbearer", Passwords, "xoauthd obtains access tokens itself: log in with a user name and a password, by PLAIN or LOGIN"},
	} {
		if _, err := NewServer(test.mechanism, test.offered, new(Credentials)); err != test.want {
			t.Errorf("%q of %q: %v", test.mechanism, test.offered, err)
		}
	}
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{"": "", "=": "", "AGpvZQ==": "\x00joe"} {
		if got, err := Decode(text); got == nil || string(got) != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"*", "AGpvZQ", "A B=", "====", "AG\rpvZQ=="} {
		if got, err := Decode(text); err == nil {
			t.Errorf("%q was decoded as %q", text, got)
		}
	}
}
