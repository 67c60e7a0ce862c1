package storekey

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	one, two := New(), New()
	if keys, err := Parse(one + " " + two); err != nil || len(keys) != 2 || bytes.Equal(keys[0], keys[1]) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestParse(t *testing.T) {
	text := func(b byte) string {
		return prefix + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{b}, size))
	}
	a, b := text('a'), text('b')
	for _, row := range []struct {
		name, text string
		want       int
		fault      string
	}{
		{"one", a, 1, ""},
		{"one a line", a + "\r\n" + b + "\n", 2, ""},
		{"on one line, as in the environment", a + " " + b, 2, ""},
		{"with comments and blank lines", "# of 2026\n\n" + a + "\n# of 2025\n" + b + "\n\n", 2, ""},
		{"nothing", "", 0, `or create one with "xoauthd make-key"`},
		{"comments alone", "# key\n\n", 0, "holds no key"},
		{"without the prefix", a + "\n" + strings.TrimPrefix(b, prefix), 0, "line 2 is not a key"},
		{"too short", a[:len(a)-4], 0, "line 1 is not a key"},
		{"too long", a + "AAAA", 0, "line 1 is not a key"},
		{"of another alphabet", a[:len(a)-2] + "+/", 0, "line 1 is not a key"},
		{"with unused bits set", a[:len(a)-1] + "F", 0, "line 1 is not a key"},
	} {
		keys, err := Parse(row.text)
		if row.fault == "" && err != nil || len(keys) != row.want {
			t.Errorf("%s: %d keys, %v", row.name, len(keys), err)
		}
		if row.fault != "" && (err == nil || !strings.Contains(err.Error(), row.fault)) {
			t.Errorf("%s: err = %v, want: %s", row.name, err, row.fault)
		}
		if err != nil && strings.Contains(err.Error(), "YWFh") {
			t.Errorf("%s: a key is in %v", row.name, err)
		}
	}
}
