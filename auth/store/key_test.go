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

	"github.com/xoauthd/xoauthd/internal/storekey"
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
	return "xoauthd-key-" + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func TestNewKey(t *testing.T) {
	one, two := storekey.New(), storekey.New()
	keys, err := ParseKeys(one + "\n" + two + "\n")
	if err != nil || len(keys) != 2 || one == two {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if a, b := keys[0].ID(), keys[1].ID(); a == b || len(a) != 8 {
		t.Errorf("IDs %q and %q", a, b)
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
