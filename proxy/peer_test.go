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
	"testing/synctest"
	"time"
)

// A peer is one of the two that the session talks to.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
	out  chan<- string // nil when it has hung up
	gone chan struct{} // the writer has ended
}

func newPeer(c net.Conn) *peer {
	out := make(chan string, 1000)
	p := &peer{conn: c, in: bufio.NewReader(c), out: out, gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		for text := range out {
			io.WriteString(p.conn, text) // a peer that no longer listens is seen elsewhere
		}
	}()
	return p
}

func (p *peer) send(text string) { p.out <- text }

// close hangs up when all is sent.
func (p *peer) close() {
	if p.out == nil {
		return
	}
	close(p.out)
	p.out = nil
	synctest.Wait()
	p.conn.Close()
	<-p.gone
}

// patience is how long a client waits for an answer, whatever has happened.
const patience = 30 * time.Second

func (p *peer) expect(pattern string) error {
	p.conn.SetReadDeadline(time.Now().Add(patience))
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
	p.conn.SetReadDeadline(time.Now().Add(patience))
	line, err := p.in.ReadString('\n')
	if line != "" || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("got %q, %v", line, err)
	}
	return nil
}

func (p *peer) startTLS(config *tls.Config) error {
	synctest.Wait() // until what was sent before is read
	t := tls.Server(p.conn, config)
	t.Handshake() // if the client does not like it, that is the script's matter
	p.conn = t
	p.in.Reset(t)
	return nil
}
