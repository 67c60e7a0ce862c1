package imap

import (
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
)

func TestLiteral(t *testing.T) {
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
		got := literal(test.line)
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

func TestOffer(t *testing.T) {
	upstream := []string{"imap4rev1", "IDLE", "id", "STARTTLS", "auth=xoauth2", "SASL-IR", "LOGINDISABLED", "UNAUTHENTICATE", "LITERAL+"}
	kept := slices.Clone(upstream)
	if got := offer(upstream); !slices.Equal(got, []string{"IDLE", "LITERAL+"}) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(upstream, kept) {
		t.Errorf("what others remember became %q", upstream)
	}
}
