package imap

import (
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	"github.com/xoauthd/xoauthd/proxy/sasl"
)

func TestParseLiteral(t *testing.T) {
	for _, test := range []struct {
		line string
		want *literalHead
	}{
		{"{5}", &literalHead{"{5}", 5, true}},
		{"a LOGIN {5+}", &literalHead{"{5+}", 5, false}},
		{"~{5+}", &literalHead{"{5+}", 5, false}},
		{"{1}{2+}", &literalHead{"{2+}", 2, false}},
		{"{0}", &literalHead{"{0}", 0, true}},
		{"{007+}", &literalHead{"{007+}", 7, false}},
		{"{99999999999999999999+}", &literalHead{"{99999999999999999999+}", maxLiteral + 1, false}},
		{"{-1}", nil},
		{"{+1}", nil},
		{"{1++}", nil},
		{"{1 }", nil},
		{"{}", nil},
		{"{+}", nil},
		{"5}", nil},
		{"{5", nil},
		{"{5} ", nil},
		{"", nil},
	} {
		got := parseLiteral(test.line)
		if (got == nil) != (test.want == nil) || (got != nil && *got != *test.want) {
			t.Errorf("%q: %+v", test.line, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for _, test := range []struct {
		text string
		want imap.StatusResponse
		ok   bool
	}{
		{"OK hello", imap.StatusResponse{Type: "OK", Text: "hello"}, true},
		{"ok", imap.StatusResponse{Type: "OK"}, true},
		{"NO [ALERT] no", imap.StatusResponse{Type: "NO", Code: "ALERT", Text: "no"}, true},
		{"OK [CAPABILITY A B]", imap.StatusResponse{Type: "OK", Code: "CAPABILITY A B"}, true},
		{"BYE [half", imap.StatusResponse{Type: "BYE", Text: "[half"}, true},
		{"PREAUTH []", imap.StatusResponse{Type: "PREAUTH"}, true},
		{"3 EXISTS", imap.StatusResponse{}, false},
		{"", imap.StatusResponse{}, false},
		{"OKAY x", imap.StatusResponse{}, false},
	} {
		got, ok := parseStatus(test.text)
		if ok != test.ok || (ok && *got != test.want) {
			t.Errorf("%q: %+v", test.text, got)
		}
	}
}

func TestExtensionsToOffer(t *testing.T) {
	upstream := []string{"imap4rev1", "IDLE", "id", "STARTTLS", "auth=xoauth2", "SASL-IR", "LOGINDISABLED", "UNAUTHENTICATE", "LITERAL+"}
	kept := slices.Clone(upstream)
	if got := extensionsToOffer(upstream); !slices.Equal(got, []string{"IDLE", "LITERAL+"}) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(upstream, kept) {
		t.Errorf("the argument was changed to %q", upstream)
	}
}

// If the password equals a protocol keyword, it is hidden in text, but the protocol
// keyword keeps its meaning.
func TestPasswordIsKeyword(t *testing.T) {
	conn := fakeconn.NewByLine("* OK [CAPABILITY IMAP4rev1 IDLE] hello\r\n* OK IDLE it is\r\nA1 OK [CAPABILITY IMAP4rev1 IDLE] no longer IDLE\r\n")
	k, err := NewClient(conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sasl.NewClient(sasl.LOGIN, "joe", "IDLE", "mail.example.com", 993)
	if err != nil {
		t.Fatal(err)
	}
	conn.AddSecret("IDLE")
	welcome, err := k.authenticate(sasl.LOGIN, nil, m)
	want := []string{"* OK (hidden) it is", "OK [CAPABILITY IMAP4rev1 IDLE] no longer (hidden)"}
	if !slices.Equal(welcome, want) || err != nil {
		t.Errorf("%q, %v", welcome, err)
	}
	if !slices.Equal(k.Extensions(), []string{"IMAP4rev1", "IDLE"}) {
		t.Errorf("extensions %q", k.Extensions())
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":          `""`,
		"joe":       `"joe"`,
		`a "b" \c`:  `"a \"b\" \\c"`,
		"pässw0rd":  "",
		"\x00":      "",
		"a\r\nb":    "",
		"\x7f":      "",
		"tab\tstop": "",
	} {
		if got, ok := quote(text); got != want || ok != (want != "") {
			t.Errorf("%q: %s, %v", text, got, ok)
		}
	}
}

func TestMechanisms(t *testing.T) {
	for caps, want := range map[string][]string{
		"IMAP4rev1":                                     {"LOGIN"},
		"IMAP4rev1 AUTH=PLAIN":                          {"LOGIN", "PLAIN"},
		"IMAP4rev1 auth=login":                          {"LOGIN"},
		"IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2":          {"XOAUTH2"},
		"IMAP4rev1 LOGINDISABLED AUTH=LOGIN AUTH=PLAIN": {"LOGIN", "PLAIN"},
	} {
		k := &Client{caps: KnownCapabilities(caps)}
		if got := k.Mechanisms(); !slices.Equal(got, want) {
			t.Errorf("%s: %q", caps, got)
		}
	}
}

// A server may refuse a login after untagged data that is not a status response.
func TestRefusalAfterData(t *testing.T) {
	conn := fakeconn.NewByLine("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n* CAPABILITY IMAP4rev1\r\nA1 NO [AUTHENTICATIONFAILED] no\r\n")
	k, err := NewClient(conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sasl.NewClient(sasl.XOAUTH2, "joe", "t0ken", "mail.example.com", 993)
	if err != nil {
		t.Fatal(err)
	}
	name, ir, err := m.Start()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = k.authenticate(name, ir, m); err == nil || !strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
		t.Errorf("%v", err)
	}
}
