package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/step"
)

func TestExamine(t *testing.T) {
	well := step.Step{Name: "DNS of imap.example.com", Outcome: step.OK, Seconds: 0.02, Detail: "192.0.2.1"}
	ill := step.Step{Name: "IMAP login at imap.example.com:993", Outcome: step.Failed, Seconds: 1.5,
		Cause: "XOAUTH2: NO AUTHENTICATE failed.", Remedy: "Authorize again & again."}
	gone := errors.New("the daemon has ended")
	const wellText = "ok      DNS of imap.example.com                       0.02 s   192.0.2.1\n"
	const illText = "failed  IMAP login at imap.example.com:993            1.50 s\n" +
		"        cause:  XOAUTH2: NO AUTHENTICATE failed.\n        remedy: Authorize again & again.\n"

	for _, test := range []struct {
		name      string
		steps     []step.Step
		cut       error
		text, err string
	}{
		{"all is well", []step.Step{well}, nil, wellText + "alice: all checks passed.\n", ""},
		{"a step failed", []step.Step{well, ill}, nil,
			wellText + illText + "alice: 1 step failed: IMAP login at imap.example.com:993.\n", "check of alice failed"},
		{"the daemon ended", []step.Step{well}, gone, wellText, gone.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			ask := func(account string, report func(step.Step)) error {
				if account != "alice" {
					t.Errorf("account %s", account)
				}
				for _, s := range test.steps {
					report(s)
				}
				return test.cut
			}
			var text, object strings.Builder
			for asJSON, b := range map[bool]*strings.Builder{false: &text, true: &object} {
				err := examine(b, "alice", asJSON, ask)
				if (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
					t.Errorf("error %v, want %q", err, test.err)
				}
			}
			if text.String() != test.text {
				t.Errorf("text:\n%s", text.String())
			}
			if test.cut != nil {
				if object.Len() > 0 {
					t.Errorf("half an object is none: %s", object.String())
				}
				return
			}
			var r doctor.Report
			if err := json.Unmarshal([]byte(object.String()), &r); err != nil || r.Account != "alice" || r.OK != (test.err == "") || len(r.Steps) != len(test.steps) {
				t.Errorf("%v, %s", err, object.String())
			}
			if err := examine(full{}, "alice", false, ask); !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("on a full disk: %v", err)
			}
		})
	}
}

// full is a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
