package daemon

import (
	"net"
	"os/user"
	"strings"
	"testing"
)

// TestHolder names the user of a port that is taken, at each address of localhost
// and where the other program listens at all addresses.
func TestHolder(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ network, taken, want string }{
		{"tcp4", "127.0.0.1", "127.0.0.1"},
		{"tcp6", "::1", "::1"},
		{"tcp4", "0.0.0.0", "127.0.0.1"},
		{"tcp6", "::", "::1"},
	} {
		ln, err := net.Listen(test.network, net.JoinHostPort(test.taken, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		want := "a program of the user " + self.Username + " uses this port"
		if _, err := open(net.JoinHostPort(test.want, port)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is taken: %v does not say %q", test.taken, err, want)
		}
	}
	for _, address := range []string{"127.0.0.1:1", "nonsense"} {
		if got := holder(address); got != "" {
			t.Errorf("%q holds %s", got, address)
		}
	}
}
