package store

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// someKeys are keys that are the same in each run: each is a byte, repeated.
func someKeys(t *testing.T, bytesOf ...byte) []Key {
	t.Helper()
	var text strings.Builder
	for _, b := range bytesOf {
		fmt.Fprintln(&text, textOf(b))
	}
	keys, err := ParseKeys(text.String())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func textOf(b byte) string {
	return keyPrefix + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func TestNewKey(t *testing.T) {
	one, two := NewKey(), NewKey()
	keys, err := ParseKeys(one + "\n" + two + "\n")
	if err != nil || len(keys) != 2 || one == two {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if a, b := keys[0].ID(), keys[1].ID(); a == b || len(a) != 8 {
		t.Errorf("IDs %q and %q", a, b)
	}
}

func TestParseKeys(t *testing.T) {
	a, b := textOf('a'), textOf('b')
	for _, row := range []struct {
		name, text string
		want       int
		fault      string
	}{
		{"one", a, 1, ""},
		{"one a line", a + "\r\n" + b + "\n", 2, ""},
		{"on one line, as in the environment", a + " " + b, 2, ""},
		{"with comments and blank lines", "# of 2026\n\n" + a + "\n# of 2025\n" + b + "\n\n", 2, ""},
		{"nothing", "", 0, `no key in it; make one with "xoauthd make-key"`},
		{"comments alone", "# key\n\n", 0, "no key in it"},
		{"without the prefix", a + "\n" + strings.TrimPrefix(b, keyPrefix), 0, "line 2: not a key"},
		{"too short", a[:len(a)-4], 0, "line 1: not a key"},
		{"too long", a + "AAAA", 0, "line 1: not a key"},
		{"of another alphabet", a[:len(a)-2] + "+/", 0, "line 1: not a key"},
		{"with bits that say nothing", a[:len(a)-1] + "F", 0, "line 1: not a key"},
	} {
		keys, err := ParseKeys(row.text)
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

func TestKeyIsNeverPrinted(t *testing.T) {
	key := someKeys(t, 'a')[0]
	in := struct{ K Key }{key}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "k", key, "in", in)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "k", key, "in", in)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&b, verb+verb+verb+"\n", key, in, &in)
	}
	j, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(j)
	if !strings.Contains(b.String(), key.ID()) {
		t.Errorf("the ID is not printed: %s", b.String())
	}
	for _, shown := range []string{"aaaa", hex.EncodeToString([]byte("aaaa")), "97 97", "YWFh", "0x61, 0x61"} {
		if strings.Contains(b.String(), shown) {
			t.Errorf("the key is shown as %s: %s", shown, b.String())
		}
	}
}

// The ID stands in files, so it must stay what it is.
func TestKeyIDStays(t *testing.T) {
	if id := someKeys(t, 'a')[0].ID(); id != "4c16d0c8" {
		t.Errorf("the ID is %s", id)
	}
}
