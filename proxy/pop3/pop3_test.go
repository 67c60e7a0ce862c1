package pop3

import (
	"slices"
	"strings"
	"testing"
)

func TestParseReply(t *testing.T) {
	for _, test := range []struct {
		line string
		want reply // empty if it is not a reply
	}{
		{"+OK hello", reply{"+OK", "hello"}},
		{"+ok", reply{"+OK", ""}},
		{"+OK  two", reply{"+OK", " two"}},
		{"-ERR [AUTH] no", reply{"-ERR", "[AUTH] no"}},
		{"+ eyJ9", reply{"+", "eyJ9"}},
		{"+ ", reply{"+", ""}},
		{"+", reply{"+", ""}},
		{"+OKAY", reply{}},
		{"-ERROR", reply{}},
		{"++ x", reply{}},
		{"OK", reply{}},
		{" +OK", reply{}},
		{"", reply{}},
		{"* OK hello", reply{}},
	} {
		got, ok := parseReply(test.line)
		if ok != (test.want.status != "") || (ok && got != test.want) {
			t.Errorf("%q: %q, %v", test.line, got, ok)
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, test := range []struct {
		text      string
		want      Refusal
		temporary bool
	}{
		{"[AUTH] no", Refusal{"AUTH", "no"}, false},
		{"[SYS/TEMP] no", Refusal{"SYS/TEMP", "no"}, true},
		{"[sys/temp]no", Refusal{"sys/temp", "no"}, true},
		{"[SYS/TEMP/DISK] no", Refusal{"SYS/TEMP/DISK", "no"}, true},
		{"[SYS/PERM] no", Refusal{"SYS/PERM", "no"}, false},
		{"[SYS] no", Refusal{"SYS", "no"}, false},
		{"[IN-USE] locked", Refusal{"IN-USE", "locked"}, true},
		{"[IN-USE/X] locked", Refusal{"IN-USE/X", "locked"}, true},
		{"[LOGIN-DELAY] wait", Refusal{"LOGIN-DELAY", "wait"}, true},
		{"[LOGIN-DELAYED]", Refusal{"LOGIN-DELAYED", ""}, false},
		{"[half", Refusal{"", "[half"}, false},
		{"it is [IN-USE]", Refusal{"", "it is [IN-USE]"}, false},
		{"", Refusal{}, false},
	} {
		got := ParseRefusal(test.text)
		if *got != test.want || got.Temporary() != test.temporary {
			t.Errorf("%q: %+v, temporary: %v", test.text, got, got.Temporary())
		}
		sent, _ := parseReply(got.Error())
		if again := ParseRefusal(sent.text); *again != test.want {
			t.Errorf("%q became %q", test.text, got.Error())
		}
	}
}

func TestExtensionsToOffer(t *testing.T) {
	upstream := []string{"TOP", "user", "SASL PLAIN", "stls", "RESP-CODES", "EXPIRE 0", "AUTH-RESP-CODE", "UTF8 USER", "LANG", "", "IMPLEMENTATION x", "UIDL"}
	kept := slices.Clone(upstream)
	if got := extensionsToOffer(upstream); !slices.Equal(got, []string{"TOP", "EXPIRE 0", "UIDL"}) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(upstream, kept) {
		t.Errorf("the argument was changed to %q", upstream)
	}
}

func TestMechanisms(t *testing.T) {
	for caps, want := range map[string]string{
		"TOP,UIDL,SASL PLAIN XOAUTH2,USER": "PLAIN XOAUTH2 LOGIN",
		"sasl login,user":                  "login",
		"SASL  PLAIN  XOAUTH2":             "PLAIN XOAUTH2",
		"SASL,SASL XOAUTH2":                "XOAUTH2",
		"USER":                             "LOGIN",
		"SASLX PLAIN,USERS":                "",
		"":                                 "",
	} {
		k := &Client{caps: strings.Split(caps, ",")}
		if got := strings.Join(k.Mechanisms(), " "); got != want {
			t.Errorf("%s: %q", caps, got)
		}
	}
}
