package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A conversation is a scripted client for what real clients do not do. Errors end the
// test.
type conversation struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	w    io.Writer
	tags int
}

// dial connects to a port on loopback.
func (d *daemon) dial(t *testing.T, port int) *conversation {
	t.Helper()
	conn, err := net.Dial("tcp", address(port))
	must(t, err)
	return newConversation(t, conn)
}

// newConversation returns a conversation on conn. The end of the test closes conn.
func newConversation(t *testing.T, conn net.Conn) *conversation {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(clientTime)))
	return &conversation{t: t, conn: conn, r: bufio.NewReader(conn), w: conn}
}

// dialIMAP connects and reads the greeting.
func (d *daemon) dialIMAP(t *testing.T) *conversation {
	t.Helper()
	c := d.dial(t, d.imap)
	contains(t, "greeting", c.line(), "* OK [CAPABILITY ")
	return c
}

// logInIMAP connects and logs in.
func (d *daemon) logInIMAP(t *testing.T) *conversation {
	t.Helper()
	c := d.dialIMAP(t)
	c.do("LOGIN %s %s", d.user, quote(d.password))
	return c
}

// quote returns s as a quoted string of IMAP.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// say sends text unchanged.
func (c *conversation) say(format string, args ...any) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.w, format, args...)
	must(c.t, err)
}

var literal = regexp.MustCompile(`\{([0-9]+)\}\r\n$`)

// line reads one line, including its IMAP literals.
func (c *conversation) line() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			c.t.Fatalf("%v after %s", err, shorten(all.String()))
		}
		m := literal.FindStringSubmatch(line)
		if m == nil {
			return all.String()
		}
		length, err := strconv.ParseInt(m[1], 10, 64)
		must(c.t, err)
		_, err = io.CopyN(&all, c.r, length)
		must(c.t, err)
	}
}

// until reads lines up to one that starts with prefix, and returns all of them.
func (c *conversation) until(prefix string) string {
	c.t.Helper()
	var all strings.Builder
	for {
		line := c.line()
		all.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return all.String()
		}
	}
}

// do runs an IMAP command that must succeed, and returns the response.
func (c *conversation) do(format string, args ...any) string {
	c.t.Helper()
	c.tags++
	tag := fmt.Sprintf("t%d", c.tags)
	c.say(tag+" "+format+"\r\n", args...)
	answer := c.until(tag + " ")
	if !strings.Contains("\n"+answer, "\n"+tag+" OK") {
		c.t.Fatalf("%s: %s", strings.Fields(format)[0], shorten(answer))
	}
	return answer
}
