package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/fakeconn"
	"github.com/xoauthd/xoauthd/proxy/limit"
)

// A player plays one dialogue.
type player struct {
	t        *testing.T
	server   *Server
	listener *Listener
	log      *bytes.Buffer // of the server, JSON
	account  *scriptedAccount

	authority  *ca.CA
	tls        *clientTLS
	names      []string // in the upstream's certificate
	damage     func(*x509.Certificate)
	selfSigned bool // the upstream's certificate
	dials      chan net.Conn
	refuse     bool // dials fail

	c, u    *peer
	socket  *fakeconn.Socket // the session's end of c
	stop    context.CancelFunc
	stopped context.Context
	done    chan struct{} // the session has ended
	counted int           // connections and slots of other sessions
	full    *limit.Waiter // has the account's only slot
	ended   bool          // the result of the session has been checked
}

func newPlayer(t *testing.T, protocol string, level slog.Level) *player {
	authority, err := ca.New() // created in the virtual time of the dialogue
	if err != nil {
		t.Fatal(err)
	}
	p := &player{
		t: t, authority: authority, tls: newClientTLS(authority),
		names:  []string{"mail.example.com"},
		damage: func(*x509.Certificate) {},
		log:    new(bytes.Buffer),
		dials:  make(chan net.Conn, 10),
	}
	upstream := &Upstream{
		Provider: "example", Host: "mail.example.com", Port: 993,
		TLS: &tls.Config{ServerName: "mail.example.com", RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12},
	}
	p.listener = &Listener{Protocol: protocol, Upstreams: []*Upstream{upstream}}
	p.account = &scriptedAccount{upstream: upstream, user: "joe@example.com", password: "s3cret", tokens: []string{"t0ken"}}
	p.server = &Server{
		Accounts: p.account,
		Limits: Limits{
			Sessions: 10, PerAccount: 5,
			LogIn: 3 * time.Minute, Step: 20 * time.Second, Idle: 31 * time.Minute, Drain: 10 * time.Second,
		},
		Log:     slog.New(slog.NewJSONHandler(p.log, &slog.HandlerOptions{Level: level})),
		Metrics: NewMetrics(prometheus.NewRegistry()),
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
	p.c, p.socket = newPeer(a), &fakeconn.Socket{Conn: b}
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		p.server.accept(p.stopped, context.Background(), p.socket, p.listener, p.server.Limits.Sessions)()
	}()
}

func (p *player) end() {
	p.begin()
	p.c.close()
	if p.u != nil {
		p.u.close()
	}
	<-p.done
	close(p.dials)
	for c := range p.dials {
		c.Close()
	}
	p.stop()
}

// set applies a setting, before the session begins.
func (p *player) set(words []string) error {
	if set, ok := tlsSettings[words[0]]; ok {
		return set(p, words[1:])
	}
	switch upstream := p.account.upstream; words[0] {
	case "starttls":
		upstream.STARTTLS = true
	case "mechanism":
		upstream.Mechanism = words[1]
	case "family": // of the upstream
		upstream.Family = words[1]
	case "certificate": // of the upstream: expired, early, purpose, or its names
		if p.damage = damages[words[1]]; p.damage == nil {
			p.damage, p.names = func(*x509.Certificate) {}, words[1:]
		}
	case "self-signed": // the upstream's certificate
		p.selfSigned = true
	case "other-authority": // signs the upstream's certificate
		var err error
		p.authority, err = ca.New()
		return err
	case "unreachable":
		p.refuse = true
	case "user": // user name at the upstream
		p.account.user = octets.Replace(words[1])
	case "password": // quoted as in Go
		var err error
		p.account.password, err = strconv.Unquote(strings.Join(words[1:], " "))
		return err
	case "tokens": // of the account: the next one after a refusal
		p.account.tokens = words[1:]
	case "secret": // the only token, quoted as in Go
		secret, err := strconv.Unquote(strings.Join(words[1:], " "))
		p.account.tokens = []string{secret}
		return err
	case "fails": // Token fails: result, and the text for the client
		p.account.fails = &Error{Result: Result(words[1]), Detail: strings.Join(words[2:], " "), Err: errors.New("scripted")}
	case "slow": // Token does not return in time
		p.account.slow = true
	case "upstreams": // two: before the login, the upstream is not known
		p.listener.Upstreams = append(p.listener.Upstreams, &Upstream{Provider: "other"})
	case "none": // the account's provider has no server for the protocol
		p.account.upstream = nil
	case "full":
		p.server.Limits.Sessions = 1
		other := new(limit.Conn)
		p.server.conns.Admit(other, 1)
		p.server.conns.SetAuthenticated(other)
		p.counted = 1
	case "account-full":
		p.server.Limits.PerAccount = 1
		p.full = p.server.semaphore.Acquire(limit.Limit{Of: "account joe@example.com", Max: 1})
		p.counted = 1
	case "queue": // the time to wait for a slot
		var err error
		p.server.Limits.Queue, err = time.ParseDuration(words[1])
		return err
	case "remembered": // from an earlier session: extensions, separated by commas
		p.server.extensions.store(upstream, strings.Split(strings.Join(words[1:], " "), ","))
	case "other-remembered": // the same for the second upstream
		p.server.extensions.store(p.listener.Upstreams[1], strings.Split(strings.Join(words[1:], " "), ","))
	default:
		return errors.New("no such setting")
	}
	return nil
}

var damages = map[string]func(*x509.Certificate){
	"expired": ca.Expired,
	"early":   ca.NotYetValid,
	"purpose": ca.WrongPurpose,
}

func (p *player) advance(text string) error {
	if text == "stop" {
		p.stop()
		synctest.Wait()
		return nil
	}
	if text == "revoke" {
		go p.server.EndSessions(p.stopped, p.account.Name())
		synctest.Wait()
		return nil
	}
	if text == "slot" {
		p.full.Release()
		p.counted = 0
		synctest.Wait()
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
		return errors.New("the session does not connect")
	}
	if p.account.upstream.STARTTLS {
		return nil
	}
	return p.u.acceptTLS(p.certificate())
}

func (p *player) certificate() *tls.Config {
	certificate, err := p.authority.IssueWith(p.damage, p.names...)
	if p.selfSigned {
		certificate, err = ca.SelfSigned(p.names...)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	// No session tickets: a pipe has no buffer for them.
	return &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true}
}

// expectReported checks the results of logins that the session has reported to the account.
func (p *player) expectReported(results string) error {
	synctest.Wait()
	if got := strings.Join(p.account.ended, " "); got != results {
		return fmt.Errorf("reported are %q", got)
	}
	return nil
}

// expectResult waits for the end of the session, and checks its log line and metrics.
func (p *player) expectResult(text string) error {
	p.ended = true
	select {
	case <-p.done:
	case <-time.After(time.Hour):
		return errors.New("the session does not end")
	}
	if len(p.dials) > 0 {
		return errors.New("the session has connected once more")
	}
	result, more, _ := strings.Cut(text, " ")
	if n := testutil.ToFloat64(p.server.Metrics.sessions.WithLabelValues(p.listener.Protocol, result)); n != 1 {
		return fmt.Errorf("counted %v times", n)
	}
	if n := testutil.ToFloat64(p.server.Metrics.active.WithLabelValues(p.listener.Protocol)); n != 0 {
		return fmt.Errorf("%v sessions are active", n)
	}
	if conns, slots := p.server.conns.Len(), p.server.semaphore.Len(); conns+slots != p.counted {
		return fmt.Errorf("sessions are counted that are not there: %d connections, slots of %d limits", conns, slots)
	}
	for _, secret := range p.secrets() {
		if strings.Contains(p.log.String(), secret) {
			return fmt.Errorf("a secret is in the log: %s", secret)
		}
	}
	return p.expectLogLine(result, more)
}

func (p *player) expectLogLine(result, more string) error {
	lines := strings.Split(strings.TrimSpace(p.log.String()), "\n")
	last := lines[len(lines)-1]
	if result == string(NoLogin) && last == "" {
		return nil // logged at the level debug
	}
	var session struct{ Msg, Result string }
	if err := json.Unmarshal([]byte(last), &session); err != nil {
		return err
	}
	if session.Msg != "session ended" || session.Result != result || !strings.Contains(last, more) {
		return errors.New("another log line is expected")
	}
	return nil
}

// secrets returns the password and the tokens, and their base64 at each offset.
func (p *player) secrets() (all []string) {
	for _, secret := range append(p.account.tokens, p.account.password) {
		if len(secret) < 4 {
			continue // it occurs in ordinary words
		}
		all = append(all, secret)
		for before, shared := range []int{0, 2, 3} { // bytes before it, and digits that depend on them
			text := base64.StdEncoding.EncodeToString([]byte("xx"[:before] + secret))
			all = append(all, text[shared:(before+len(secret))*8/6])
		}
	}
	return all
}

// A scriptedAccount is the account joe@example.com of a test.
type scriptedAccount struct {
	upstream *Upstream
	user     string
	password string
	tokens   []string
	fails    error
	slow     bool

	mu    sync.Mutex
	ended []string // the results of the logins at the upstream; guarded by mu
}

func (a *scriptedAccount) LogIn(_ context.Context, attempt Attempt) (Login, error) {
	if attempt.User != "joe@example.com" || attempt.Password != a.password {
		return Login{}, Fail(BadCredentials, errors.New("no such login"))
	}
	return Login{Account: a, Provider: "example", User: a.user}, nil
}

func (a *scriptedAccount) Name() string              { return "joe@example.com" }
func (a *scriptedAccount) Upstream(string) *Upstream { return a.upstream }

func (a *scriptedAccount) Token(ctx context.Context, stale string) (string, error) {
	if a.slow {
		<-ctx.Done()
		return "", Fail(ProviderDown, ctx.Err())
	}
	for _, token := range a.tokens {
		if token != stale {
			return token, nil
		}
	}
	if a.fails != nil {
		return "", a.fails
	}
	if stale != "" {
		return "", Fail(UpstreamRefused, errors.New("there is no other token"))
	}
	return "", Fail(ProviderDown, errors.New("there is no token"))
}

func (a *scriptedAccount) LoginEnded(_ string, err error) {
	result := OK
	if err != nil {
		result = asError(err).Result
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = append(a.ended, string(result))
}
