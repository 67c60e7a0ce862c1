package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/internal/ca"
)

// TestDialogues plays the conversations of testdata/*.dialog: C is the client,
// U the upstream, and what stands between them is a session. The first word of
// a file's name is its protocol.
//
//	# …            a comment
//	% word …       a setting: see player.set
//	C> text        the client sends a line
//	C>> "text"     the client sends octets, quoted as in Go
//	C< pattern     the client receives a line; ... is any text
//	C-             the client hangs up
//	C$             the client sees the end
//	U+             the upstream is connected to; TLS begins unless it is to come
//	U!             TLS begins
//	~ 60s          time passes
//	~ stop         xoauthd is told to stop
//	= result text  how the session went, and what its line in the log has of it
//
// Within a line, b64(…) is encoded; there ^A is the octet 1 and ^@ the octet 0.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".dialog"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			protocol, _, _ := strings.Cut(filepath.Base(file), "-")
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, protocol)
				defer p.end()
				for i, line := range strings.Split(strings.TrimSuffix(string(script), "\n"), "\n") {
					if err := p.play(line); err != nil {
						t.Fatalf("%s:%d: %s\n%v\n%s", file, i+1, line, err, p.log)
					}
				}
				if !p.judged {
					t.Fatal("does not say how the session went: = result")
				}
			})
		})
	}
}

// A player plays one dialogue.
type player struct {
	t        *testing.T
	server   *Server
	listener *Listener
	registry *prometheus.Registry
	log      *bytes.Buffer // of the server, JSON
	account  *scriptedAccount

	authority *ca.CA
	names     []string // in the upstream's certificate
	dials     chan net.Conn
	refuse    bool // dials fail

	c, u    *peer
	stop    context.CancelFunc
	stopped context.Context
	done    chan struct{} // the session has ended
	judged  bool
}

func newPlayer(t *testing.T, protocol string) *player {
	authority, err := ca.New() // in virtual time, as all that is of this dialogue
	if err != nil {
		t.Fatal(err)
	}
	p := &player{
		t: t, authority: authority,
		names:    []string{"mail.example.com"},
		log:      new(bytes.Buffer),
		registry: prometheus.NewRegistry(),
		dials:    make(chan net.Conn, 10),
	}
	upstream := &Upstream{
		Provider: "example", Host: "mail.example.com", Port: 993,
		TLS: &tls.Config{ServerName: "mail.example.com", RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12},
	}
	p.listener = &Listener{Protocol: protocol, Upstreams: []*Upstream{upstream}}
	p.account = &scriptedAccount{upstream: upstream, tokens: []string{"token"}}
	p.server = &Server{
		Accounts: p.account,
		Limits: Limits{
			Sessions: 10, PerAccount: 5,
			LogIn: time.Minute, Step: 20 * time.Second, Idle: 31 * time.Minute, Drain: 10 * time.Second,
		},
		Log:     slog.New(slog.NewJSONHandler(p.log, nil)),
		Metrics: NewMetrics(p.registry),
		Dial:    p.dial,
	}
	p.stopped, p.stop = context.WithCancel(context.Background())
	return p
}

func (p *player) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.refuse {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	a, b := net.Pipe()
	p.dials <- b
	return a, nil
}

// begin starts the session, at the first line that is not a setting.
func (p *player) begin() {
	if p.c != nil {
		return
	}
	a, b := net.Pipe()
	p.c = newPeer(a)
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		p.server.serve(p.stopped, context.Background(), b, p.listener)
	}()
}

func (p *player) end() {
	p.begin()
	p.c.close()
	if p.u != nil {
		p.u.close()
	}
	close(p.dials)
	for c := range p.dials {
		c.Close()
	}
	<-p.done
	p.stop()
}

func (p *player) play(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	what, text, _ := strings.Cut(line, " ")
	if what == "%" {
		return p.set(strings.Fields(text))
	}
	p.begin()
	switch what {
	case "~":
		return p.pass(text)
	case "=":
		return p.judge(text)
	case "U+":
		return p.connected()
	}
	peer := map[string]*peer{"C": p.c, "U": p.u}[what[:1]]
	if peer == nil {
		return errors.New("there is no such peer")
	}
	switch text = encode(text); what[1:] {
	case ">":
		peer.send(text + "\r\n")
	case ">>":
		octets, err := strconv.Unquote(text)
		if err != nil {
			return err
		}
		peer.send(octets)
	case "<":
		return peer.expect(text)
	case "-":
		peer.close()
	case "$":
		return peer.expectEnd()
	case "!":
		return peer.startTLS(p.certificate())
	default:
		return errors.New("not a line of a dialogue")
	}
	return nil
}

// set changes what is there before the session begins.
func (p *player) set(words []string) error {
	switch upstream := p.account.upstream; words[0] {
	case "starttls":
		upstream.STARTTLS = true
	case "mechanism":
		upstream.Mechanism = words[1]
	case "certificate": // of the upstream, for these names
		p.names = words[1:]
	case "unreachable":
		p.refuse = true
	case "tokens": // as the account gives them, when the one before was refused
		p.account.tokens = words[1:]
	case "fails": // a token cannot be had: result, and what the client is told
		p.account.fails = &Error{Result(words[1]), strings.Join(words[2:], " "), errors.New("scripted")}
	case "upstreams": // two: it is not known before login which it will be
		p.listener.Upstreams = append(p.listener.Upstreams, &Upstream{Provider: "other"})
	case "none": // the account's provider has no server for the protocol
		p.account.upstream = nil
	case "full":
		p.server.Limits.Sessions = 1
		p.server.counts.enter("", 1)
	case "account-full":
		p.server.Limits.PerAccount = 1
		p.server.counts.enter("joe@example.com", 1)
	case "remembered": // from an earlier session: extensions, separated by commas
		p.server.memory.extensions = map[*Upstream][]string{
			upstream: strings.Split(strings.Join(words[1:], " "), ","),
		}
	default:
		return errors.New("no such setting")
	}
	return nil
}

func (p *player) pass(text string) error {
	if text == "stop" {
		p.stop()
		return nil
	}
	d, err := time.ParseDuration(text)
	time.Sleep(d)
	synctest.Wait()
	return err
}

// connected waits until the upstream is dialled.
func (p *player) connected() error {
	synctest.Wait()
	select {
	case c := <-p.dials:
		if p.u != nil {
			p.u.close()
		}
		p.u = newPeer(c)
	default:
		return errors.New("nobody connects")
	}
	if p.account.upstream.STARTTLS {
		return nil
	}
	return p.u.startTLS(p.certificate())
}

func (p *player) certificate() *tls.Config {
	certificate, err := p.authority.Issue(p.names...)
	if err != nil {
		p.t.Fatal(err)
	}
	// Without tickets nobody writes what the other does not expect: a pipe has
	// no buffer.
	return &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true}
}

// judge waits for the end of the session and looks at what was logged and
// counted of it.
func (p *player) judge(text string) error {
	p.judged = true
	select {
	case <-p.done:
	case <-time.After(time.Hour):
		return errors.New("the session does not end")
	}
	result, more, _ := strings.Cut(text, " ")
	lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	var session struct{ Msg, Result string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &session); err != nil {
		if result == string(NoLogin) && p.log.Len() == 0 {
			return nil // it is logged for debugging only
		}
		return err
	}
	if session.Msg != "session" || session.Result != result || !strings.Contains(lines[len(lines)-1], more) {
		return errors.New("it went otherwise")
	}
	if strings.Contains(p.log.String(), "secret") || strings.Contains(p.log.String(), `oken"`) {
		return errors.New("a secret is in the log")
	}
	count := p.server.Metrics.sessions.WithLabelValues(p.listener.Protocol, result)
	if n := testutil.ToFloat64(count); n != 1 {
		return fmt.Errorf("counted %v times", n)
	}
	return nil
}

// A peer is one of the two that the session talks to.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
	out  chan string
	gone chan struct{} // the writer has ended
}

func newPeer(c net.Conn) *peer {
	p := &peer{conn: c, in: bufio.NewReader(c), out: make(chan string, 1000), gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		for text := range p.out {
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

func (p *peer) expect(pattern string) error {
	p.conn.SetReadDeadline(time.Now().Add(time.Minute))
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
	p.conn.SetReadDeadline(time.Now().Add(time.Minute))
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

var encoded = regexp.MustCompile(`b64\(([^)]*)\)`)

func encode(text string) string {
	return encoded.ReplaceAllStringFunc(text, func(s string) string {
		inner := encoded.FindStringSubmatch(s)[1]
		inner = strings.NewReplacer("^A", "\x01", "^@", "\x00").Replace(inner)
		return base64.StdEncoding.EncodeToString([]byte(inner))
	})
}

// A scriptedAccount is joe@example.com, with the password "secret".
type scriptedAccount struct {
	upstream *Upstream
	tokens   []string
	fails    error
}

func (a *scriptedAccount) LogIn(_ context.Context, provider, user, password string) (Account, error) {
	if user != "joe@example.com" || password != "secret" {
		return nil, Fail(BadCredentials, errors.New("no such login"))
	}
	return a, nil
}

func (a *scriptedAccount) Name() string              { return "joe@example.com" }
func (a *scriptedAccount) User() string              { return "joe@example.com" }
func (a *scriptedAccount) Upstream(string) *Upstream { return a.upstream }

func (a *scriptedAccount) Token(_ context.Context, stale string) (string, error) {
	for _, token := range a.tokens {
		if token != stale {
			return token, nil
		}
	}
	if a.fails != nil {
		return "", a.fails
	}
	return "", Fail(ProviderDown, errors.New("there is no other token"))
}
