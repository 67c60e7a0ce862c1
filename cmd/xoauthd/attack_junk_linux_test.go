package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// junkRole connects to a port many times, at most 50 at once, sends text, and closes the
// connection after the reply.
func junkRole(args []string) error {
	if len(args) != 3 {
		return errors.New("want port, number of connections and text")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	text, err := strconv.Unquote(args[2])
	if err != nil {
		return err
	}
	places := make(chan struct{}, 50)
	var all sync.WaitGroup
	for range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			c, err := net.Dial("tcp", "127.0.0.1:"+args[0])
			if err != nil {
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			io.WriteString(c, text)
			io.Copy(io.Discard, c)
		})
	}
	all.Wait()
	return nil
}

// TestAttackLog sends thousands of requests that fail. The number of their log lines must
// be bounded, and they must not hide the line of another client.
func TestAttackLog(t *testing.T) {
	d := newTarget(t, nil)
	d.logIn(t)
	for _, text := range []string{"GET / HTTP/1.1\\r\\n", "a LOGIN nobody x {1\\r\\nb LOGOUT\\r\\n"} {
		d.output(t, attackerUser, "junk", strconv.Itoa(d.imap), "1000", `"`+text+`"`)
	}
	if took := d.logIn(t); took > time.Second {
		t.Errorf("the login took %v", took)
	}
	d.waitFor(t, "the second login", func() bool { return strings.Count(d.log.String(), "msg=login ") == 2 })
	log := d.log.String()
	if n := strings.Count(log, `msg="session ended"`); n > 60 {
		t.Errorf("%d lines:\n%s", n, shortenLog(log))
	}
	d.stop(t) // which logs what was summed up
	if log := d.log.String(); !strings.Contains(log, `msg="sessions summed up"`) || !strings.Contains(log, "result=violation") {
		t.Errorf("nothing is summed up:\n%s", shortenLog(log))
	}
}

// TestAttackEHLO sends EHLO on hundreds of connections. The provider must see few
// connections, for HELO none, and other clients must still send mail.
func TestAttackEHLO(t *testing.T) {
	var server *submission
	d := newTarget(t, func(c *targetConfig) { server = newSubmission(t, c) })
	port := strconv.Itoa(d.smtp)
	d.output(t, attackerUser, "junk", port, "300", `"HELO x\r\nQUIT\r\n"`)
	if n := server.accepted.Load(); n != 0 {
		t.Errorf("HELO caused %d connections", n)
	}
	begun := time.Now()
	d.output(t, attackerUser, "junk", port, "900", `"EHLO x\r\nQUIT\r\n"`)
	// Ten, and ten more for every ten seconds.
	most := 10 * (1 + int(time.Since(begun)/(10*time.Second)))
	if n := int(server.accepted.Load()); n == 0 || n > most {
		t.Errorf("EHLO caused %d connections in %v", n, time.Since(begun))
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "EHLO x\r\nAUTH PLAIN %s\r\nMAIL FROM:<%s>\r\nRCPT TO:<ann@example.net>\r\nBDAT 5 LAST\r\nhelloQUIT\r\n", plainResponse, targetAccount)
	if said, err := io.ReadAll(c); !strings.HasSuffix(string(said), "250 taken\r\n221 bye\r\n") || err != nil {
		t.Errorf("%q, %v", said, err)
	}
}
