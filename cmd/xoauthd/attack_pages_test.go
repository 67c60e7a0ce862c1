package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// getRole sends a request to an address, under a host name and with a password, and
// prints the status and the body, or that the connection was closed.
func getRole(args []string) error {
	if len(args) != 5 {
		return errors.New("want network, address, host, path and password")
	}
	c, err := net.Dial(args[0], args[1])
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r, err := http.NewRequest("GET", "http://"+args[2]+args[3], nil)
	if err != nil {
		return err
	}
	r.SetBasicAuth("admin", args[4])
	r.Close = true
	r.Write(c) // it fails if the connection is closed already
	answer, err := http.ReadResponse(bufio.NewReader(c), r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if err != nil {
		fmt.Println("closed")
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	fmt.Println(answer.StatusCode, string(body))
	return err
}

// dialing connects to one address for every URL.
func dialing(network, address string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

// proxyRole is a reverse proxy with a sign-in. It prints "bound" when it listens, and
// ends when it is killed.
func proxyRole(args []string) error {
	if len(args) != 4 {
		return errors.New("want an address, the network and address behind it, and the password")
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("bound")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "localhost"})
	proxy.Transport = dialing(args[1], args[2])
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != args[3] {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
}

// proxied runs proxyRole as programUser, in front of the pages.
func (d *target) proxied(t *testing.T, at, network, address, password string) {
	t.Helper()
	cmd := d.as(t, programUser, "proxy", at, network, address, password)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "bound\n" {
		t.Fatalf("the reverse proxy says %q, %v", line, err)
	}
}

// TestAttackBehindProxy has another local user try to bypass the reverse proxy of the
// pages and the metrics.
func TestAttackBehindProxy(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		front, password := unusedPort(t), rand.Text()
		var web, metrics string
		d := newTarget(t, func(c *targetConfig) {
			if network == "unix" {
				c.Web, c.Metrics = socketIn(t, c, "web"), socketIn(t, c, "metrics")
				c.WebKeys = "socket_mode = \"0666\"\n" // local_users alone keeps others out
				c.MetricsKeys = c.WebKeys
			}
			c.WebKeys += fmt.Sprintf("local_users = [%q]\npublic_url = \"http://localhost:%d\"\n", programUser, front)
			c.MetricsKeys += fmt.Sprintf("local_users = [%q]\n", programUser)
			web, metrics = strings.TrimPrefix(c.Web, "unix:"), strings.TrimPrefix(c.Metrics, "unix:")
		})
		at, host := fmt.Sprintf("127.0.0.1:%d", front), fmt.Sprintf("localhost:%d", front)
		d.proxied(t, at, network, web, password)
		get := func(user, network, address, password string) string {
			path := "/"
			if address == metrics {
				path = "/metrics"
			}
			return d.output(t, user, "get", network, address, host, path, password)
		}
		for _, test := range []struct {
			name, user, network, address, password, want string
		}{
			{"the attacker, by the proxy", attackerUser, "tcp", at, "guess", "401 sign in"},
			{"the administrator, by the proxy", attackerUser, "tcp", at, password, "200 "},
			{"the attacker, past the proxy", attackerUser, network, web, "", "closed"},
			{"root, past the proxy", "root", network, web, "", "closed"},
			{"the attacker, at the metrics", attackerUser, network, metrics, "", "closed"},
			{"Prometheus, at the metrics", programUser, network, metrics, "", "200 "},
		} {
			got := get(test.user, test.network, test.address, test.password)
			if !strings.HasPrefix(got, test.want) || strings.Contains(got, targetAccount) != (test.want == "200 ") {
				t.Errorf("%s, %s: %.100q, want %q", network, test.name, got, test.want)
			}
		}
		d.logIn(t)
	}
}

// socketIn returns an address below the folder of c, in one that all users can enter
// and the daemon's can write.
func socketIn(t *testing.T, c *targetConfig, name string) string {
	t.Helper()
	folder, id := filepath.Join(filepath.Dir(c.State), name), credential(t, daemonUser)
	must(t, os.Mkdir(folder, 0o755))
	must(t, os.Chown(folder, int(id.Uid), int(id.Gid)))
	return "unix:" + filepath.Join(folder, "sock")
}

// TestAttackRebinding requests the metrics under a foreign host name, as a hostile page in
// a local browser does (DNS rebinding). It must not read the names of accounts.
func TestAttackRebinding(t *testing.T) {
	t.Parallel()
	d := newTarget(t, func(c *targetConfig) { c.MetricsKeys = "hosts = [\"xoauthd.example.com\"]\n" })
	address := fmt.Sprintf("127.0.0.1:%d", d.metrics)
	for host, want := range map[string]string{
		fmt.Sprintf("rebinding.example:%d", d.metrics): "421 ",
		"rebinding.example":                            "421 ",
		fmt.Sprintf("127.0.0.1.example:%d", d.metrics): "421 ",
		address:                                "200 ",
		fmt.Sprintf("localhost:%d", d.metrics): "200 ",
		fmt.Sprintf("xoauthd.example.com:%d", d.metrics): "200 ",
	} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			got := d.output(t, attackerUser, "get", "tcp", address, host, path, "")
			if !strings.HasPrefix(got, want) || strings.Contains(got, targetAccount) != (want == "200 " && path == "/metrics") {
				t.Errorf("%s at %s: %.100q, want %q", path, host, got, want)
			}
		}
	}
}
