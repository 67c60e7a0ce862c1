package sasl

import (
	"errors"
	"strings"
	"testing"
)

// serveToken runs mechanism with a client that sends message, as the initial
// response or after a challenge.
func serveToken(t *testing.T, mechanism, message string, initial bool) (c Credentials, err error) {
	s, err := NewServer(mechanism, OwnTokens, &c)
	if err != nil {
		t.Fatal(err)
	}
	response := Encode([]byte(message))
	if !initial {
		response = ""
	}
	err = Serve(s, response, initial, func(challenge string) (string, error) {
		if initial || challenge != "" {
			t.Errorf("%s: challenge %q", mechanism, challenge)
		}
		return Encode([]byte(message)), nil
	})
	return c, err
}

// The server side of a mechanism understands its client side.
func TestTokenServerAcceptsClients(t *testing.T) {
	for _, mechanism := range []string{XOAUTH2, OAUTHBEARER} {
		for _, user := range []string{"joe@example.com", "a=b,c", "=2C", "jörg", `a@b\info@b`} {
			client, err := NewClient(mechanism, user, "t0.k~e+n/==", "mail.example.com", 993)
			if err != nil {
				t.Fatal(err)
			}
			_, message, err := client.Start()
			if err != nil {
				t.Fatal(err)
			}
			for _, initial := range []bool{true, false} {
				c, err := serveToken(t, mechanism, string(message), initial)
				if err != nil || c != (Credentials{User: user, Token: "t0.k~e+n/=="}) {
					t.Errorf("%s, %s: %+v, %v", mechanism, user, c, err)
				}
			}
		}
	}
}

func TestTokenServer(t *testing.T) {
	const joe = "n,a=joe,\x01auth=Bearer t0ken\x01\x01"
	long := strings.Repeat("x", maxToken)
	for _, test := range []struct {
		name, mechanism, message string
		user, token              string // empty if the message is invalid
	}{
		{"the minimum", OAUTHBEARER, joe, "joe", "t0ken"},
		{"another flag", OAUTHBEARER, "y" + joe[1:], "joe", "t0ken"},
		{"an unknown field", OAUTHBEARER, "n,a=joe,\x01qop=\x01auth=bearer t0ken\x01\x01", "joe", "t0ken"},
		{"the scheme in upper case", XOAUTH2, "user=joe\x01auth=BEARER t0ken\x01\x01", "joe", "t0ken"},
		{"the longest token", XOAUTH2, "user=joe\x01auth=Bearer " + long + "\x01\x01", "joe", long},

		{"a longer token", XOAUTH2, "user=joe\x01auth=Bearer x" + long + "\x01\x01", "", ""},
		{"nothing", XOAUTH2, "", "", ""},
		{"no user", XOAUTH2, "user=\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"no token", XOAUTH2, "user=joe\x01auth=Bearer \x01\x01", "", ""},
		{"no authorization", XOAUTH2, "user=joe\x01\x01", "", ""},
		{"another scheme", XOAUTH2, "user=joe\x01auth=Basic t0ken\x01\x01", "", ""},
		{"the fields in the wrong order", XOAUTH2, "auth=Bearer t0ken\x01user=joe\x01\x01", "", ""},
		{"another field", XOAUTH2, "user=joe\x01auth=Bearer t0ken\x01host=h\x01\x01", "", ""},
		{"no end", XOAUTH2, "user=joe\x01auth=Bearer t0ken\x01", "", ""},
		{"data after the end", XOAUTH2, "user=joe\x01auth=Bearer t0ken\x01\x01\x01", "", ""},
		{"the other mechanism", XOAUTH2, joe, "", ""},
		{"a space in the token", XOAUTH2, "user=joe\x01auth=Bearer t0 ken\x01\x01", "", ""},
		{"a line in the token", XOAUTH2, "user=joe\x01auth=Bearer t0ken\r\n\x01\x01", "", ""},
		{"a line in the name", XOAUTH2, "user=joe\r\nA1 NOOP\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"NUL in the name", XOAUTH2, "user=joe\x00\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"a name that is not UTF-8", XOAUTH2, "user=j\xf6rg\x01auth=Bearer t0ken\x01\x01", "", ""},

		{"no authorization identity", OAUTHBEARER, "n,,\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"an empty user", OAUTHBEARER, "n,a=,\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"no auth field", OAUTHBEARER, "n,a=joe,\x01host=h\x01\x01", "", ""},
		{"two tokens", OAUTHBEARER, "n,a=joe,\x01auth=Bearer t0ken\x01auth=Bearer other\x01\x01", "", ""},
		{"channel binding", OAUTHBEARER, "p=tls-exporter,a=joe,\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"no header", OAUTHBEARER, "\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"the response to an error challenge", OAUTHBEARER, "\x01", "", ""},
		{"an invalid escape", OAUTHBEARER, "n,a=j=41oe,\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"a comma in the user", OAUTHBEARER, "n,a=j,oe,\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"a field without a name", OAUTHBEARER, "n,a=joe,\x01=x\x01auth=Bearer t0ken\x01\x01", "", ""},
		{"a field without a value", OAUTHBEARER, "n,a=joe,\x01x\x01auth=Bearer t0ken\x01\x01", "", ""},
	} {
		c, err := serveToken(t, test.mechanism, test.message, true)
		if c != (Credentials{User: test.user, Token: test.token}) || (err == nil) != (test.token != "") {
			t.Errorf("%s: %.100v, %v", test.name, c, err)
		}
		var clientErr ClientError
		if err != nil && (!errors.As(err, &clientErr) || strings.Contains(err.Error(), "t0")) {
			t.Errorf("%s: %q", test.name, err)
		}
	}
}
