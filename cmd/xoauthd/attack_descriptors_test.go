package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAttackDescriptors has another local user open as many connections as possible to all
// listeners. Meanwhile a mail client logs in, a browser reads the pages and Prometheus the
// metrics, and the daemon keeps descriptors in reserve.
func TestAttackDescriptors(t *testing.T) {
	const files = 400
	d := newTarget(t, func(c *targetConfig) {
		c.NoFiles = files
		for _, address := range []*string{&c.IMAP, &c.SMTP, &c.Web, &c.Metrics} {
			*address = strings.Replace(*address, "127.0.0.1", "localhost", 1)
		}
	})
	d.logIn(t)
	usual := d.logIn(t) // of a password that is known, and with a token that is
	allowed := 2*time.Second + 5*usual
	var targets []string
	for _, port := range []int{d.web, d.metrics, d.imap, d.smtp} {
		targets = append(targets, fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("[::1]:%d", port))
	}
	attacker := d.as(t, attackerUser, "flood", targets...)
	attacker.Stderr = os.Stderr
	must(t, attacker.Start())
	d.waitFor(t, "the flood", func() bool { return strings.Contains(d.log.String(), "result=too_many_sessions") })

	slowest, most := time.Duration(0), 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		slowest = max(slowest, d.logIn(t))
		for path, port := range map[string]int{"/": d.web, "/metrics": d.metrics} {
			if said := d.page(t, port, path); !strings.HasPrefix(said, "200 ") {
				t.Errorf("%s: %s", path, said)
			}
		}
		most = max(most, d.openFiles(t))
	}
	t.Logf("a login took %v before, and at most %v during the attack; %d files were open", usual, slowest, most)
	if slowest > allowed {
		t.Errorf("the slowest login took %v, of %v allowed", slowest, allowed)
	}
	if most > files-30 {
		t.Errorf("%d of %d files were open", most, files)
	}
	must(t, attacker.Process.Kill())
	attacker.Wait()
	metrics := d.page(t, d.metrics, "/metrics")
	for _, metric := range regexp.MustCompile(`(?m)^xoauthd_accept_errors_total\{.*\} (.*)$`).FindAllStringSubmatch(metrics, -1) {
		if metric[1] != "0" {
			t.Errorf("connections could not be accepted: %s", metric[0])
		}
	}
	for _, reached := range []string{
		`xoauthd_http_connections_evicted_total\{endpoint="web"\}`,
		`xoauthd_http_connections_evicted_total\{endpoint="metrics"\}`,
		`xoauthd_sessions_total\{protocol="imap",result="too_many_sessions"\}`,
	} {
		if !regexp.MustCompile(`(?m)^` + reached + ` [1-9]`).MatchString(metrics) {
			t.Errorf("the attack has not reached the limit: %s", reached)
		}
	}
}

// page returns a page that programUser requests.
func (d *target) page(t *testing.T, port int, path string) string {
	t.Helper()
	return d.output(t, programUser, "get", "tcp", fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("localhost:%d", port), path, "")
}

// openFiles counts the descriptors of the daemon.
func (d *target) openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	must(t, err)
	return len(files)
}

// floodRole connects to addresses at the highest rate until it is killed. It keeps the
// connections, and sends nothing, half a request, or a request on each.
func floodRole(addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("want addresses")
	}
	const kept = 500 // for each address
	var all sync.WaitGroup
	for _, address := range addresses {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port()), Addr: netip.MustParseAddr("127.0.0.1").As4()})
		if at.Addr().Is6() {
			family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
		}
		request := fmt.Appendf(nil, "GET /metrics HTTP/1.1\r\nHost: %s\r\n\r\n", address)
		says := [][]byte{nil, request[:20], request}
		all.Go(func() {
			var sockets [kept]int
			for i := 0; ; i++ {
				if old := sockets[i%kept]; old > 0 {
					unix.Close(old)
				}
				fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
				if err != nil {
					continue
				}
				unix.Connect(fd, to)
				unix.Write(fd, says[i%len(says)])
				sockets[i%kept] = fd
			}
		})
	}
	all.Wait()
	return nil
}
