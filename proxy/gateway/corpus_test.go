package gateway

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the expected files in testdata")

// A sample is a message of the corpus with its envelope.
type sample struct {
	name    string
	content string
	to      []string
}

func corpus(t testing.TB) (all []sample) {
	t.Helper()
	list, err := os.ReadFile("testdata/corpus/envelopes")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		content, err := os.ReadFile(filepath.Join("testdata/corpus", columns[0]+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{columns[0], string(content), columns[1:]})
	}
	if files, _ := filepath.Glob("testdata/corpus/*.eml"); len(files) != len(all) || len(all) < 50 {
		t.Fatalf("%d files, %d envelopes", len(files), len(all))
	}
	return all
}

var recipientPattern = regexp.MustCompile(`(?i)(^|\r\n)(?:to|cc|bcc)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*`)

// withoutRecipients returns a message without its recipient fields. It is independent of
// the parser that it tests.
func withoutRecipients(content string) string {
	head, body, found := strings.Cut("\r\n"+content, "\r\n\r\n")
	for {
		rest := recipientPattern.ReplaceAllString(head, "")
		if rest == head {
			break
		}
		head = rest
	}
	if found {
		return head + "\r\n\r\n" + body
	}
	return strings.TrimSuffix(head, "\r\n")
}

// TestCorpus sends all messages. Apart from the recipient fields, not a byte changes, and
// where all recipients are named, not a byte changes at all.
func TestCorpus(t *testing.T) {
	d := &capturer{traits: Traits{Name: "capture", FromHeader: true}}
	c := newFixture(t, d).connect(t, nil).login()
	var added strings.Builder
	for i, s := range corpus(t) {
		if got := c.transmit(s.content, s.to...); !strings.HasPrefix(got, "250 ") {
			t.Fatalf("%s: %s", s.name, got)
		}
		got := string(d.messages()[i].content)
		want := s.content
		if !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		bcc := ""
		if got != want {
			bcc = checkChanged(t, s, want, got)
		}
		fmt.Fprintf(&added, "%s\t%s\n", s.name, bcc)
	}
	golden(t, "testdata/corpus/bcc", added.String())
}

// checkChanged checks a message that has changed, and returns its new Bcc field.
func checkChanged(t *testing.T, s sample, want, got string) (bcc string) {
	t.Helper()
	rest, found := strings.CutPrefix(got, "Bcc: ")
	if !found {
		t.Errorf("%s: changed without a Bcc field:\n%q", s.name, got)
		return ""
	}
	end := regexp.MustCompile(`\r\n[^ ]`).FindStringIndex(rest)
	bcc = strings.ReplaceAll(rest[:end[0]], "\r\n ", " ")
	if fields, _ := parseHeader([]byte(want)); len(fields) == 0 && !strings.HasPrefix(want, "\r\n") {
		if rest[end[0]:] != "\r\n\r\n"+want {
			t.Errorf("%s: a message without a header section changed:\n%q", s.name, got)
		}
		return bcc
	}
	if a, b := withoutRecipients(want), withoutRecipients(got); a != b {
		t.Errorf("%s changed:\n%q\nwas\n%q", s.name, b, a)
	}
	return bcc
}

// golden compares got with a file, which -update writes.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not up to date: go test -update\n%s", path, got)
	}
}

// TestCorpusBySMTP sends all messages by a deliverer that has the envelope: nothing changes.
func TestCorpusBySMTP(t *testing.T) {
	d := &capturer{traits: Traits{Name: "smtp"}}
	c := newFixture(t, d).connect(t, nil).login()
	for i, s := range corpus(t) {
		if got := c.transmit(s.content, s.to...); !strings.HasPrefix(got, "250 ") {
			t.Fatalf("%s: %s", s.name, got)
		}
		m := d.messages()[i]
		if got := string(m.content); strings.TrimSuffix(got, "\r\n") != strings.TrimSuffix(s.content, "\r\n") {
			t.Errorf("%s changed:\n%q", s.name, got)
		}
		if !slices.Equal(m.To, s.to) {
			t.Errorf("%s: recipients %q, want %q", s.name, m.To, s.to)
		}
	}
}
