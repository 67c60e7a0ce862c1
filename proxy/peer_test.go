package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// A peer is the client or the upstream of a session.
type peer struct {
	conn net.Conn // the outbox, or TLS on it
	in   *bufio.Reader
}

func newPeer(c net.Conn) *peer {
	o := &outbox{Conn: c, texts: make(chan string, 1000), sent: make(chan struct{})}
	go o.run()
	return &peer{conn: o, in: bufio.NewReader(o)}
}

func (p *peer) send(text string) { io.WriteString(p.conn, text) }

// close closes the connection when everything is sent.
func (p *peer) close() { p.conn.Close() }

// An outbox is a connection whose writes do not wait for the reader, as on a network.
type outbox struct {
	net.Conn
	texts chan string
	sent  chan struct{} // closed when everything is sent
	once  sync.Once
}

func (o *outbox) run() {
	defer close(o.sent)
	for text := range o.texts {
		io.WriteString(o.Conn, text) // expect reports a closed connection
	}
}

func (o *outbox) Write(p []byte) (int, error) {
	o.texts <- string(p)
	return len(p), nil
}

func (o *outbox) SetWriteDeadline(time.Time) error { return nil } // tls.Conn sets one when it closes

func (o *outbox) Close() error {
	o.once.Do(func() {
		close(o.texts)
		synctest.Wait()
		o.Conn.Close()
		<-o.sent
	})
	return nil
}

// expectTimeout is how long a client waits for a reply.
const expectTimeout = 30 * time.Second

func (p *peer) expect(pattern string) error {
	p.conn.SetReadDeadline(time.Now().Add(expectTimeout))
	line, err := p.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("got %q, %v", line, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\.\.\.`, ".*")
	if !ok || !regexp.MustCompile("^(?s:"+expression+")$").MatchString(text) {
		return fmt.Errorf("got %q", line)
	}
	return nil
}

func (p *peer) expectEnd() error {
	p.conn.SetReadDeadline(time.Now().Add(expectTimeout))
	line, err := p.in.ReadString('\n')
	if line != "" || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("got %q, %v", line, err)
	}
	return nil
}

// acceptTLS begins TLS as the server, startTLS as the client.
func (p *peer) acceptTLS(config *tls.Config) error { return p.enter(tls.Server, config) }
func (p *peer) startTLS(config *tls.Config) error  { return p.enter(tls.Client, config) }

func (p *peer) enter(end func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) error {
	synctest.Wait() // until what was sent before is read
	p.conn.SetReadDeadline(time.Now().Add(expectTimeout))
	t := end(p.conn, config)
	if t.Handshake() != nil { // they do not like each other: that is the script's matter
		io.Copy(io.Discard, p.conn)
	}
	p.conn = t
	p.in.Reset(t)
	return nil
}
