package doctor

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/redact"
	"github.com/xoauthd/xoauthd/internal/step"
)

// Whatever a server says, it is one line, of bounded length, without the secret.
func TestCleaned(t *testing.T) {
	secrets := redact.New("another-secret-that-was-refused", "correct-horse-battery-staple")
	for _, test := range []struct{ name, said, want string }{
		{"nothing of it", "NO Invalid credentials (Failure)", "NO Invalid credentials (Failure)"},
		{"as it is", "bad token <correct-horse-battery-staple>", "bad token <(hidden)>"},
		{"in base64", "line dXNlcj14AWF1dGg9QmVhcmVyIGNvcnJlY3QtaG9yc2UtYmF0dGVyeS1zdGFwbGUBAQ==", "line (hidden)"},
		{"over lines", "another-sec\r\nret-that-was-refused", "(hidden) (hidden)"},
		{"control characters", "a\x1b]0;x\x07\r\nok \u009b2J\u202eb\xff", "a ]0;x ok 2J b\uFFFD"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := cleaned(step.Step{Name: test.said, Detail: test.said, Cause: test.said, Remedy: test.said,
				Facts: map[string]any{"one": test.said, "list": []string{test.said}, "n": int64(1)}}, secrets)
			for _, got := range []string{s.Name, s.Detail, s.Cause, s.Remedy, s.Facts["one"].(string), s.Facts["list"].([]string)[0]} {
				if got != test.want {
					t.Errorf("%q, want %q", got, test.want)
				}
			}
		})
	}
	long := cleaned(step.Step{Detail: strings.Repeat("ä", 5000), Facts: map[string]any{"list": make([]string, 5000)}}, secrets)
	if n := len(long.Detail); n > maxText || n < maxText-3 || !strings.HasSuffix(long.Detail, "…") {
		t.Errorf("%d octets", n)
	}
	if list := long.Facts["list"].([]string); len(list) != maxList+1 || list[maxList] != "…" {
		t.Errorf("%d entries: %q", len(list), list)
	}
}

// However much servers say, a step fits in a line between daemon and program.
func TestWholeStep(t *testing.T) {
	words := strings.Repeat("<", 1000) // six octets each, in JSON
	facts := map[string]any{"n": int64(1), "zone": words}
	for _, name := range []string{"aud", "capabilities", "roles", "scp"} {
		facts[name] = slices.Repeat([]string{words}, 1000)
	}
	s := cleaned(step.Step{Name: words, Detail: words, Cause: words, Remedy: words, Facts: facts}, new(redact.Secrets))
	if line, err := json.Marshal(s); err != nil || len(line) > 60<<10 {
		t.Errorf("%d octets, %v", len(line), err)
	}
	first, last := s.Facts["aud"].([]string), s.Facts["scp"].([]string)
	if len(first) < 5 || first[0] == "…" || first[len(first)-1] != "…" || len(last) != 1 || last[0] != "…" ||
		s.Facts["zone"] != "…" || s.Facts["n"] != int64(1) {
		t.Errorf("%d entries, %q, %q", len(first), last, s.Facts["zone"])
	}
}

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		outcomes []step.Outcome
		ok       bool
		want     string
	}{
		{nil, true, "a: all checks passed."},
		{[]step.Outcome{step.OK, step.OK}, true, "a: all checks passed."},
		{[]step.Outcome{step.OK, step.Warning}, true, "a: all works, with 1 warning."},
		{[]step.Outcome{step.OK, step.Skipped}, false, "a: check incomplete."},
		{[]step.Outcome{step.Warning, step.Failed, step.Skipped}, false, "a: 1 step failed: b."},
		{[]step.Outcome{step.Failed, step.Failed}, false, "a: 2 steps failed, the first: a."},
	} {
		r := NewReport("a")
		for i, o := range test.outcomes {
			r.Add(step.Step{Name: string(rune('a' + i)), Outcome: o})
		}
		if got := r.Verdict(); got != test.want || r.OK != test.ok {
			t.Errorf("%v: %q, %v", test.outcomes, got, r.OK)
		}
	}
}
