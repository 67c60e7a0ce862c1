package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A holder holds listening sockets, as systemd does.
type holder struct {
	files []*os.File
	names []string
}

// hold opens both addresses of localhost at a port, under the name of a socket unit.
func (h *holder) hold(t *testing.T, name, port string) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
		must(t, err)
		f, err := ln.(*net.TCPListener).File()
		must(t, err)
		must(t, ln.Close()) // f stays
		t.Cleanup(func() { f.Close() })
		h.files = append(h.files, f)
		h.names = append(h.names, name)
	}
}

// environment returns the environment variables for a process that receives the sockets.
func (h *holder) environment() string {
	return fmt.Sprintf("LISTEN_FDS=%d LISTEN_FDNAMES=%s", len(h.files), strings.Join(h.names, ":"))
}

// kill sends SIGKILL to the daemon.
func (d *target) kill(t *testing.T) {
	t.Helper()
	must(t, d.cmd.Process.Kill())
	d.cmd.Wait() // says that it was killed
	d.cmd = nil
}

// TestAttackPorts kills the daemon, and has the attacker bind its ports before the next
// start. That succeeds if the daemon opens the ports itself, and fails if systemd holds
// them. A client that connects while no daemon runs is served by the next one.
func TestAttackPorts(t *testing.T) {
	t.Parallel()
	attempts := func(port int) (addresses []string) {
		for _, host := range []string{"127.0.0.1", "[::1]", "0.0.0.0", "[::]"} {
			addresses = append(addresses, fmt.Sprintf("%s:%d", host, port))
		}
		return addresses
	}
	t.Run("without systemd", func(t *testing.T) {
		d := newTarget(t, nil)
		d.kill(t)
		release := d.hold(t, attempts(d.imap)[0])
		if said := d.refuses(t, exitFailed); !strings.Contains(said, "a program of the user "+attackerUser+" uses this port") {
			t.Errorf("the daemon says:\n%s", said)
		}
		release()
	})
	t.Run("with systemd", func(t *testing.T) {
		held := new(holder)
		d := newTarget(t, func(c *targetConfig) {
			for _, socket := range []struct {
				name    string
				address *string
			}{{"smtp", &c.SMTP}, {"web", &c.Web}, {"metrics", &c.Metrics}, {"imap", &c.IMAP}} {
				_, port, err := net.SplitHostPort(*socket.address)
				must(t, err)
				held.hold(t, socket.name, port)
				*socket.address = "localhost:" + port // by which the daemon finds the sockets
			}
			c.Systemd = "imap"
			c.Sockets = held
		})
		d.logIn(t)
		for range 2 {
			d.kill(t)
			for _, port := range []int{d.imap, d.smtp, d.web, d.metrics} {
				for _, address := range attempts(port) {
					if said := d.output(t, attackerUser, "bind", address); !strings.Contains(said, "address already in use") {
						t.Errorf("while no daemon runs, the attacker binds %s: %s", address, said)
					}
				}
			}
			var said bytes.Buffer
			waiting := d.as(t, programUser, "login", strconv.Itoa(d.imap), targetAccount, targetPassword)
			waiting.Stdout = &said
			must(t, waiting.Start())
			d.waitFor(t, "the program's connection", func() bool { return connections(t, d.imap) > 0 })
			d.start(t, 0)
			must(t, waiting.Wait())
			if !strings.Contains(said.String(), " a OK ") {
				t.Errorf("a login that came while no daemon ran was answered %q", said.String())
			}
			d.logIn(t)
		}
		d.stop(t)
		held.names[len(held.names)-1] = "other"
		said := d.refuses(t, exitFailed)
		if !strings.Contains(said, `systemd socket "other" at [::1]:`+strconv.Itoa(d.imap)+` belongs to no [[listener]], [web] or [metrics]: write systemd = "other"`) {
			t.Errorf("a socket that nothing has, and the daemon says:\n%s", said)
		}
		*held = holder{}
		said = d.refuses(t, exitFailed)
		if !strings.Contains(said, `systemd has passed no socket named "imap": run "systemctl enable --now xoauthd-imap.socket"`) {
			t.Errorf("without a socket, the daemon says:\n%s", said)
		}
	})
}

// connections counts the connections of clients at a port of 127.0.0.1.
func connections(t *testing.T, port int) (n int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	must(t, err)
	const established = "01"
	for row := range strings.Lines(string(table)) {
		fields := strings.Fields(row)
		if fields[1] == fmt.Sprintf("0100007F:%04X", port) && fields[3] == established {
			n++
		}
	}
	return n
}
