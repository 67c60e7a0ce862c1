package sasl

import (
	"slices"
	"strings"
	"testing"
)

func TestPasswordClient(t *testing.T) {
	for _, test := range []struct {
		mechanism string
		ir        string
		answers   []string // to any prompt
	}{
		{PLAIN, "\x00joe@example.com\x00pässwörd", nil},
		{LOGIN, "", []string{"joe@example.com", "pässwörd"}},
	} {
		c, err := NewClient(test.mechanism, "joe@example.com", "pässwörd", "h", 1)
		if err != nil {
			t.Fatal(err)
		}
		name, ir, err := c.Start()
		if name != test.mechanism || (ir == nil) != (test.ir == "") || string(ir) != test.ir || err != nil {
			t.Errorf("%s: Start = %q, %q, %v", test.mechanism, name, ir, err)
		}
		var answers []string
		for range 3 {
			answer, err := c.Next([]byte("Passwort?"))
			if err != nil {
				break
			}
			answers = append(answers, string(answer))
		}
		if !slices.Equal(answers, test.answers) {
			t.Errorf("%s answers %q", test.mechanism, answers)
		}
		if c.Challenge() != "" {
			t.Errorf("%s: challenge %q", test.mechanism, c.Challenge())
		}
	}
}

func TestPasswordClientInvalid(t *testing.T) {
	for _, test := range []struct{ name, user, password string }{
		{"a field added to the name", "a@b\x00x", "passw0rd"},
		{"a line in the name", "a@b\r\nA2 LOGOUT", "passw0rd"},
		{"a name that is not UTF-8", "j\xf6rg", "passw0rd"},
		{"a field added to the password", "a@b", "passw0rd\x00"},
		{"a line in the password", "a@b", "passw0rd\r\n"},
		{"the line ending of a file", "a@b", "passw0rd\n"},
		{"a password that is not UTF-8", "a@b", "p\xe4ssw0rd"},
		{"no password", "a@b", ""},
		{"a password that is too long", "a@b", strings.Repeat("x", maxPassword+1)},
	} {
		for _, mechanism := range []string{PLAIN, LOGIN} {
			if _, err := NewClient(mechanism, test.user, test.password, "h", 1); err == nil {
				t.Errorf("%s: %s accepts it", mechanism, test.name)
			} else if test.password != "" && strings.Contains(err.Error(), test.password) {
				t.Errorf("%s: the error shows the password: %v", mechanism, err)
			}
		}
	}
	if _, err := NewClient("CRAM-MD5", "a@b", "passw0rd", "h", 1); err == nil {
		t.Error("CRAM-MD5 is accepted")
	}
}
