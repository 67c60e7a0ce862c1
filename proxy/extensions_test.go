package proxy

import (
	"slices"
	"strings"
	"testing"
)

func TestIntersect(t *testing.T) {
	for _, test := range []struct{ name, a, b, want string }{
		{"nothing in common", "X", "Y", ""},
		{"in the order and spelling of the first", "8BITMIME,DSN,PIPELINING", "pipelining,8bitmime", "8BITMIME,PIPELINING"},
		{"the smaller size", "SIZE 2000", "SIZE 1000", "SIZE 1000"},
		{"the smaller size, first", "SIZE 1000", "SIZE 2000", "SIZE 1000"},
		{"no limit of a size", "SIZE 0", "SIZE 2000", "SIZE 2000"},
		{"SIZE without a number", "SIZE", "SIZE 2000", "SIZE 2000"},
		{"no limit of a size, second", "SIZE 2000", "SIZE 0", "SIZE 2000"},
		{"an invalid size", "SIZE x", "SIZE 2000", "SIZE 2000"},
		{"a size of more than 64 bits", "SIZE 99999999999999999999", "SIZE 2000", "SIZE 2000"},
		{"a size in lower case", "size 2000", "SIZE 1000", "SIZE 1000"},
		{"no size at the other", "SIZE 2000", "DSN", ""},
		{"other parameters", "X a", "X b", ""},
		{"nothing", "", "DSN", ""},
	} {
		got := intersect(strings.Split(test.a, ","), strings.Split(test.b, ","))
		if strings.Join(got, ",") != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

// FuzzIntersect checks that each of two upstreams has the common extensions, except for a
// SIZE that the other one limits.
func FuzzIntersect(f *testing.F) {
	f.Add("SIZE 1\nDSN", "size 2\ndsn\nX")
	f.Add("SIZE", "SIZE 0")
	f.Fuzz(func(t *testing.T, a, b string) {
		as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
		for _, x := range intersect(as, bs) {
			has := func(y string) bool {
				_, size := smaller(x, y)
				return strings.EqualFold(x, y) || size
			}
			if !slices.ContainsFunc(as, has) || !slices.ContainsFunc(bs, has) {
				t.Errorf("%q is not in %q and %q", x, as, bs)
			}
		}
		if own := intersect(as, as); len(slices.Compact(own)) < len(slices.Compact(slices.Clone(as))) {
			t.Errorf("%q has only %q in common with itself", as, own)
		}
	})
}
