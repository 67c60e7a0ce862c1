package sasl

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// FuzzServe checks that a mechanism ends after at most three responses, with
// credentials or a ClientError, and that NewClient accepts the token that it
// returns.
func FuzzServe(f *testing.F) {
	f.Add("PLAIN", "AGpvZQBwYXNz", true, "")
	f.Add("PLAIN", "", false, "AGpvZQBwYXNz")
	f.Add("LOGIN", "", false, "am9l\ncGFzcw==")
	f.Add("LOGIN", "=", true, "=")
	f.Add("LOGIN", "am9l", true, "*")
	f.Add("XOAUTH2", Encode([]byte("user=joe\x01auth=Bearer t0ken\x01\x01")), true, "")
	f.Add("OAUTHBEARER", "", false, Encode([]byte("n,a=j=2Co=3De,\x01host=h\x01port=1\x01auth=Bearer t0ken==\x01\x01")))
	f.Fuzz(func(t *testing.T, name, response string, initial bool, answers string) {
		var c Credentials
		mechanism, err := NewServer(name, OwnTokens, &c)
		if err != nil {
			return
		}
		left := strings.Split(answers, "\n")
		challenges := 0
		err = Serve(mechanism, response, initial, func(challenge string) (string, error) {
			if _, err := Decode(challenge); err != nil {
				t.Errorf("challenge %q", challenge)
			}
			if challenges++; len(left) == 0 {
				return "", io.EOF
			}
			answer := left[0]
			left = left[1:]
			return answer, nil
		})
		var clientErr ClientError
		if challenges > 3 || (err != nil && err != io.EOF && !errors.As(err, &clientErr)) {
			t.Errorf("%d challenges, %v", challenges, err)
		}
		if err == nil && c.Token != "" {
			if _, err := NewClient(strings.ToUpper(name), c.User, c.Token, "h", 1); err != nil || c.User == "" || c.Password != "" {
				t.Errorf("%+v is not accepted by NewClient: %v", c, err)
			}
		}
	})
}

// FuzzDecode checks that Decode accepts only base64 of the right length. Unused bits
// may be set.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", "=", "*", "AGpvZQBwYXNz", "AA==", "AB==", "A\r\nA=="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Decode(text)
		text = strings.TrimRight(text, " ") // some clients send spaces at the end
		if err == nil && (b == nil || (text != "=" && len(Encode(b)) != len(text))) {
			t.Errorf("%q was decoded as %q, which is %q in base64", text, b, Encode(b))
		}
	})
}

// FuzzChallenge checks that a mechanism with an access token answers one challenge,
// and that one with a password sends only user name and password.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"status":"401"}`), []byte{})
	f.Add([]byte("Username:"), []byte("Password:"))
	f.Add([]byte("t0ken-t0ken"), []byte(Encode([]byte("user=joe\x01auth=Bearer t0ken-t0ken\x01\x01"))))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, name := range []string{XOAUTH2, OAUTHBEARER, PLAIN, LOGIN} {
			c, err := NewClient(name, "joe", "t0ken-t0ken", "mail.example.com", 993)
			if err != nil {
				t.Fatal(err)
			}
			answers := 0
			for _, challenge := range [][]byte{first, second, first} {
				answer, err := c.Next(challenge)
				if err != nil {
					break
				}
				if answers++; name != LOGIN && strings.Contains(string(answer), "t0ken") {
					t.Errorf("%s answers %q with %q", name, challenge, answer)
				}
			}
			most := map[string]int{XOAUTH2: 1, OAUTHBEARER: 1, PLAIN: 0, LOGIN: 2}[name]
			if answers > most {
				t.Errorf("%s: %d answers", name, answers)
			}
		}
	})
}
