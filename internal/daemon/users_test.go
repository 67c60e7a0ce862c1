package daemon

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/proxy/peercred"
)

func TestUsersAreTold(t *testing.T) {
	const private = "         0          0          1\n       990        990          1\n"
	const container = "0 100000 65536\n"
	for _, test := range []struct {
		name, uidMap string
		users        []uint32
		told         bool
	}{
		{"the machine's own", "         0          0 4294967295\n", []uint32{0, 1000, 65534}, true},
		{"no namespaces", "", []uint32{1000}, true},
		{"PrivateUsers=yes", private, []uint32{1000}, false},
		{"PrivateUsers=yes, but the daemon's own", private, []uint32{0, 990}, true},
		{"a container", container, []uint32{1000, 33}, true},
		{"a user who is not mapped", container, []uint32{1000, 70000}, false},
		{"nobody of a container, which stands for all unmapped users", container, []uint32{65534}, false},
		{"nonsense", "x", []uint32{0}, false},
	} {
		if err := checkUIDMap(test.uidMap, test.users); (err == nil) != test.told {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestCheckUsers checks that users can be distinguished without user namespaces, and that the
// listener does not open where that is unknown.
func TestCheckUsers(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		known bool
	}{
		{"the machine's own", map[string]string{"status": "", "uid_map": "0 0 4294967295\n"}, true},
		{"PrivateUsers=yes", map[string]string{"status": "", "uid_map": "0 0 1\n"}, false},
		{"no namespaces", map[string]string{"status": ""}, true},
		{"no Linux", nil, false},
	} {
		proc := t.TempDir()
		if err := os.Mkdir(filepath.Join(proc, "self"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range test.files {
			if err := os.WriteFile(filepath.Join(proc, "self", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkUsers(proc, []uint32{1000}); (err == nil) != test.known {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestUserListener checks that connections of other users are closed, at TCP and unix sockets,
// and that the first of many is logged.
func TestUserListener(t *testing.T) {
	me := uint32(os.Geteuid())
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "unix:" + filepath.Join(t.TempDir(), "s")} {
		for _, users := range [][]uint32{{me}, {4321, me}, {4321}} {
			all, err := newOpener().open(config.Endpoint{Address: address, Socket: asMade(0o600)})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			l := &userListener{Listener: all[0], users: users, finder: new(peercred.Finder), log: slog.New(slog.NewTextHandler(&log, nil))}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })}
			ended := make(chan error, 1)
			go func() { ended <- server.Serve(l) }()
			allowed := users[len(users)-1] == me
			for range 3 {
				c, err := net.Dial(all[0].Addr().Network(), all[0].Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				if allowed {
					io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
				} // a connection that is not allowed is closed before it asks for anything
				said, _ := io.ReadAll(c)
				if got := strings.HasSuffix(string(said), "hello"); got != allowed || !allowed && len(said) > 0 {
					t.Errorf("%s for %v: answered %q", address, users, said)
				}
				c.Close()
			}
			server.Close()
			<-ended
			lines := strings.Count(log.String(), "is not in local_users")
			if want := map[bool]int{true: 0, false: 1}[allowed]; lines != want {
				t.Errorf("%s for %v: the log:\n%s", address, users, &log)
			}
		}
	}
}
