package systemd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

// childVariable is set if the test program runs as the daemon that systemd starts.
const childVariable = "XOAUTHD_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	children.Supervise()
	os.Exit(m.Run())
}

// child prints the sockets that it receives, and any variables and sockets that a
// process it starts inherits. It then answers one connection on each socket.
func child() int {
	sockets, err := Sockets()
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	for _, s := range sockets {
		fmt.Println("socket:", s.Name, s.Addr().Network(), s.Addr())
	}
	out, err := exec.Command("sh", "-c", "env; ls -l /proc/self/fd").Output()
	if err != nil {
		fmt.Println("error:", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "LISTEN_") || strings.Contains(line, " socket:") {
			fmt.Print("inherited: ", line)
		}
	}
	fmt.Println("serving")
	for _, s := range sockets {
		c, err := s.Accept()
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Fprintf(c, "hello from %s\n", s.Name)
		c.Close()
		s.Close()
	}
	return 0
}

// activate returns a command that runs child with files passed as systemd passes
// them. A pid of "$$" sets LISTEN_PID to the process itself.
func activate(t *testing.T, pid, environment string, files ...*os.File) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "LISTEN_PID="+pid+" "+environment+` exec "$0"`, self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	return cmd
}

// file returns the descriptor of a listener or connection.
func file(t *testing.T, c any) *os.File {
	t.Helper()
	f, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if ul, ok := ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// TestSockets passes the same sockets to two processes, one after the other. Each
// also serves the connections made before it started, and leaves the sockets open for
// the next.
func TestSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	all := []net.Listener{listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "[::1]:0"), listen(t, "unix", path)}
	var files []*os.File
	for _, ln := range all {
		files = append(files, file(t, ln))
	}
	for range 2 {
		var conns []net.Conn
		for _, ln := range all {
			c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns = append(conns, c)
		}
		out, err := activate(t, "$$", "LISTEN_FDS=3 LISTEN_FDNAMES=imap:imap:web", files...).Output()
		want := fmt.Sprintf("socket: imap tcp %s\nsocket: imap tcp %s\nsocket: web unix %s\nserving\n", all[0].Addr(), all[1].Addr(), path)
		if err != nil || string(out) != want {
			t.Errorf("%v\n%swant\n%s", err, out, want)
		}
		for i, c := range conns {
			got, err := io.ReadAll(c)
			if want := "hello from " + []string{"imap", "imap", "web"}[i] + "\n"; err != nil || string(got) != want {
				t.Errorf("%s: received %q, %v, want %q", all[i].Addr(), got, err, want)
			}
		}
	}
}

func TestSocketsInvalid(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	datagram, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	regular, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	socket := file(t, ln)
	for _, test := range []struct {
		pid, environment string
		files            []*os.File
		want             string
	}{
		{"1", "LISTEN_FDS=1 LISTEN_FDNAMES=imap", nil, "serving\n"}, // for another process
		{"$$", "LISTEN_FDS=0", nil, "serving\n"},
		{"", "LISTEN_FDS=1", nil, "serving\n"},
		{"$$", "LISTEN_FDS=one", []*os.File{socket}, "error: systemd sockets: LISTEN_FDS=\"one\": expected a number from 0 to 1000\n"},
		{"$$", "LISTEN_FDS=-1", nil, "error: systemd sockets: LISTEN_FDS=\"-1\": expected a number from 0 to 1000\n"},
		{"$$", "LISTEN_FDS=1 LISTEN_FDNAMES=a:b", []*os.File{socket}, "error: systemd sockets: LISTEN_FDNAMES=\"a:b\" has 2 names, but LISTEN_FDS=1\n"},
		{"$$", "LISTEN_FDS=1 LISTEN_FDNAMES=udp", []*os.File{file(t, datagram)}, "error: systemd socket \"udp\": not a stream socket; use ListenStream= in the socket unit\n"},
		{"$$", "LISTEN_FDS=1", []*os.File{file(t, conn)}, "error: systemd socket \"unknown\": a connection, not a listening socket; remove Accept=yes from the socket unit\n"},
		{"$$", "LISTEN_FDS=1 LISTEN_FDNAMES=fifo", []*os.File{regular}, "error: systemd socket \"fifo\": descriptor 3 is not a socket: socket operation on non-socket\n"},
	} {
		out, err := activate(t, test.pid, test.environment, test.files...).Output()
		if string(out) != test.want || (err != nil) != strings.HasPrefix(test.want, "error") {
			t.Errorf("%s: %v\n%swant\n%s", test.environment, err, out, test.want)
		}
	}
}

// TestSocketActivate passes the sockets with systemd-socket-activate(1).
func TestSocketActivate(t *testing.T) {
	socketActivate := tool(t, "systemd-socket-activate")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t, "tcp", "127.0.0.1:0")
	ln.Close() // the port is free now
	address, path := ln.Addr().String(), filepath.Join(t.TempDir(), "web.sock")
	cmd := exec.Command(socketActivate, "--listen="+address, "--listen="+path, "--fdname=imap:web", "--setenv="+childVariable+"=1", self)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var greetings []string
	for _, at := range []struct{ network, address string }{{"tcp", address}, {"unix", path}} {
		c, err := dialRetrying(at.network, at.address)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		c.Close()
		greetings = append(greetings, line)
	}
	if want := []string{"hello from imap\n", "hello from web\n"}; !slices.Equal(greetings, want) {
		t.Errorf("received %q, want %q", greetings, want)
	}
	out, err := io.ReadAll(stdout)
	if want := fmt.Sprintf("socket: imap tcp %s\nsocket: web unix %s\nserving\n", address, path); err != nil || string(out) != want {
		t.Errorf("%v\n%swant\n%s", err, out, want)
	}
}

// dialRetrying dials until a connection succeeds, for at most ten seconds.
func dialRetrying(network, address string) (net.Conn, error) {
	for attempt := 0; ; attempt++ {
		c, err := net.Dial(network, address)
		if err == nil || attempt == 1000 {
			return c, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
