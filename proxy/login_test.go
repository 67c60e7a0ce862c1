package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/peercred"
	"github.com/xoauthd/xoauthd/proxy/sasl"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// preAuthSession returns a session of a client that has only connected from an address;
// empty is a unix socket.
func preAuthSession(from string) *session {
	s := &session{conn: unconnected{}, record: new(sessionRecord), client: wire.New(unconnected{}, time.Minute)}
	s.from, _ = netip.ParseAddr(from)
	s.source = peercred.SourceOfAddr(s.from)
	s.counted = limit.Conn{Source: s.source, Evict: func() {}, Close: func() {}}
	return s
}

// An unconnected is a connection that is not used.
type unconnected struct{ net.Conn }

func (unconnected) RemoteAddr() net.Addr            { return &net.TCPAddr{} }
func (unconnected) Read([]byte) (int, error)        { return 0, os.ErrDeadlineExceeded }
func (unconnected) SetReadDeadline(time.Time) error { return nil }
func (unconnected) Close() error                    { return nil }

// TestOwnTokens checks that xoauthd logs in once with the token of a client, for any
// account, and that the session is authenticated when the upstream has accepted the token.
// The token is hidden in the reply of the upstream, and on later connections only if the
// upstream has accepted it: anybody can send words of the log as a token.
func TestOwnTokens(t *testing.T) {
	const hello = "U> * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello"
	const auth = "U< A1 AUTHENTICATE XOAUTH2 b64(user=ann@example.com^Aauth=Bearer 0wn-t0ken^A^A)"
	for _, test := range []struct {
		name, user, token string
		evicted           bool // before the upstream has answered
		script            []string
		want              Result
	}{
		{"accepted", "ann@example.com", "0wn-t0ken", false, []string{"U+", hello, auth, "U> A1 OK [CAPABILITY IMAP4rev1] in"}, OK},
		{"refused", "ann@example.com", "0wn-t0ken", false, []string{"U+", hello, auth, "U> A1 NO no 0wn-t0ken", "U$"}, UpstreamRefused},
		{"accepted after the eviction", "ann@example.com", "0wn-t0ken", true, []string{"U+", hello, auth, "U> A1 OK [CAPABILITY IMAP4rev1] in", "U$"}, TooManySessions},
		{"not a token", "ann@example.com", "0wn-t0ken\x01", false, nil, BadCredentials},
		{"not a name", "ann@example.com\x01auth=Bearer x", "0wn-t0ken", false, nil, BadCredentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, "imap", slog.LevelInfo)
				p.c, p.done = newPeer(noClient{}), make(chan struct{})
				close(p.done)
				defer p.end()
				s := preAuthSession("192.0.2.1")
				s.server, s.listener, s.protocol, s.stopping = p.server, p.listener, protocols["imap"], p.stopped
				s.record.protocol = "imap"
				p.server.conns.Admit(&s.counted, 1)
				defer p.server.conns.Leave(&s.counted)
				p.server.Limits.PerAddress = 1

				type result struct {
					upstream *upstreamSession
					err      error
				}
				results := make(chan result, 1)
				go func() {
					u, err := s.logIn(t.Context(), sasl.Credentials{User: test.user, Token: test.token})
					results <- result{u, err}
				}()
				for i, line := range test.script {
					if test.evicted && i == 3 {
						p.server.conns.Admit(&preAuthSession("192.0.2.1").counted, 1)
					}
					if err := p.play(line); err != nil {
						t.Fatal(line, err)
					}
				}
				r := <-results
				if paused := p.server.semaphore.Len() > 0; test.want != OK && paused != (test.want == UpstreamRefused) {
					t.Errorf("the slot is kept: %v", paused)
				}
				time.Sleep(tokenPause)
				synctest.Wait()
				if got := s.record.result(r.err); got != test.want {
					t.Errorf("%s: %v", got, r.err)
				}
				if (r.upstream != nil) != (test.want == OK) || p.server.semaphore.Len() > 0 != (test.want == OK) {
					t.Errorf("session %v, slots of %d limits", r.upstream, p.server.semaphore.Len())
				}
				if authenticated := !p.server.conns.Admit(&preAuthSession("192.0.2.1").counted, 1); authenticated != (test.want == OK) {
					t.Errorf("the session is authenticated: %v", authenticated)
				}
				if r.err != nil && strings.Contains(r.err.Error(), "0wn-t0ken") {
					t.Errorf("the error contains the token: %v", r.err)
				}
				if hidden := !s.listener.Upstreams[0].secrets().Clean("0wn-t0ken"); hidden != (test.want == OK || test.evicted) {
					t.Errorf("the token is a secret: %v", hidden)
				}
				if r.upstream != nil {
					r.upstream.end()
				}
				if r := s.record; r.account != "" || !r.ownToken || r.user != test.user {
					t.Errorf("%+v", r.lastAttempt)
				}
			})
		})
	}
}

// TestOwnTokensAreSpaced checks that few tokens of one address are tried, for any user names,
// that clients of another address are not affected, and that the limit ends.
func TestOwnTokensAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(nil)
		s.Limits.PerAccount, s.Limits.Queue = 1, tokenPause/2
		dials := 0
		s.Dial = func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, errors.New("scripted")
		}
		try := func(from string) Result {
			x := preAuthSession(from)
			x.server, x.listener, x.protocol, x.stopping = s, &Listener{Protocol: "imap", Upstreams: []*Upstream{{Host: "mail.example.com"}}}, protocols["imap"], t.Context()
			_, err := x.logIn(t.Context(), sasl.Credentials{User: "joe@example.com", Token: "x"})
			return asError(err).Result
		}
		for range tokensAtOnce {
			if got := try("192.0.2.1"); got != UpstreamDown {
				t.Error(got)
			}
		}
		if got := try("192.0.2.1"); got != TooManySessions || dials != tokensAtOnce {
			t.Errorf("%s, %d dials", got, dials)
		}
		if got := try("192.0.2.2"); got != UpstreamDown {
			t.Error(got)
		}
		time.Sleep(tokenPause)
		if got := try("192.0.2.1"); got != UpstreamDown {
			t.Error(got)
		}
		time.Sleep(tokenPause)
		synctest.Wait()
		if n := s.semaphore.Len(); n != 0 {
			t.Errorf("slots of %d limits are left", n)
		}
	})
}

// A labelled account returns the login that an attempt names, also after a wrong password.
type labelled struct{ scriptedAccount }

func (a *labelled) LogIn(ctx context.Context, attempt Attempt) (Login, error) {
	login, err := a.scriptedAccount.LogIn(ctx, attempt)
	switch {
	case attempt.From != netip.MustParseAddr("192.0.2.1"):
		err = errors.New("it comes from " + attempt.From.String())
	case attempt.User == "scanner1":
		login, err = Login{Account: a, Label: "scanner"}, Fail(BadCredentials, errors.New("wrong password"))
	}
	return login, err
}

// TestLoginsAreCounted checks that an attempt is counted for the login that it names.
func TestLoginsAreCounted(t *testing.T) {
	for _, test := range []struct {
		name, said string
		want       string // in the log
		scanner    float64
	}{
		{"the wrong password of a login", "a LOGIN scanner1 x\r\nb LOGIN scanner1 x\r\nc LOGOUT\r\n",
			`account=joe@example.com login=scanner refused=2 error="wrong password"`, 2},
		{"a name that does not exist, after one that does", "a LOGIN scanner1 x\r\nb LOGIN scanner2 x\r\nc LOGOUT\r\n", `user="s… (8 characters, no address)" refused=2 error="no such login"`, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := newTestServer(nil)
				s.Accounts = &labelled{scriptedAccount{password: "s3cret"}}
				serveFrom(t, s, &Listener{Protocol: "imap"}, "192.0.2.1:1", func(c net.Conn) {
					go io.WriteString(c, test.said)
					io.Copy(io.Discard, c)
				})
				if !strings.Contains(log.String(), test.want) {
					t.Error(log)
				}
				if got := testutil.ToFloat64(s.Metrics.logins.WithLabelValues("joe@example.com", "scanner", "imap", "bad_credentials")); got != test.scanner {
					t.Errorf("counted %v times", got)
				}
			})
		})
	}
}

// TestLimits checks that an error names the limit and the key that sets it, and that
// clients of this machine have no limit of their address.
func TestLimits(t *testing.T) {
	u := &Upstream{Provider: "microsoft", Host: "smtp.example.com", Port: 587, Sessions: 3}
	s := preAuthSession("2001:db8::1")
	s.server, s.listener = &Server{Limits: Limits{PerAddress: 2}}, &Listener{Protocol: "smtp"}
	for want, b := range map[string]limit.Limit{
		"session limit reached: 3 for account joe@example.com at smtp.example.com:587 (provider.microsoft.smtp.sessions)": s.limits(Login{Account: &scriptedAccount{}}, u)[2],
		"session limit reached: 2 for address 2001:db8::/64 (limits.sessions_per_address)":                                s.addressLimit(),
	} {
		if b.Error() != want {
			t.Errorf("%q, want %q", &b, want)
		}
	}
	for from, most := range map[string]int{"192.0.2.1": 2, "127.0.0.1": 0, "::1": 0, "": 0} {
		s.from = preAuthSession(from).from
		if b := s.addressLimit(); b.Max != most {
			t.Errorf("%q: %v", from, &b)
		}
	}
}

// TestLoginIsRecorded checks that a login is logged and counted when it happens, and not at
// the end of its session.
func TestLoginIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(t, "imap", slog.LevelInfo)
		defer p.end()
		p.playLines(`C< * OK ...
C> a LOGIN joe@example.com wrong
C< a NO [AUTHENTICATIONFAILED] ...
C> b LOGIN joe@example.com s3cret
U+
U> * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello
U< A1 AUTHENTICATE ...
~ 2s
U> A1 OK [CAPABILITY IMAP4rev1] in
C< b OK ...`)
		synctest.Wait()
		want := `"level":"INFO","msg":"login","protocol":"imap","id":1,"client":"pipe","account":"joe@example.com","upstream":"mail.example.com:993","seconds":2}`
		if _, line, _ := strings.Cut(p.log.String(), ","); strings.TrimSpace(line) != want {
			t.Errorf("%s\nwant %s", line, want)
		}
		if n := testutil.ToFloat64(p.server.Metrics.logins.WithLabelValues("joe@example.com", "", "imap", "ok")); n != 1 {
			t.Errorf("counted %v times", n)
		}
		p.playLines("~ 10m\nC-\nU$\n= ok")
		if n := testutil.ToFloat64(p.server.Metrics.logins.WithLabelValues("joe@example.com", "", "imap", "ok")); n != 1 {
			t.Errorf("counted %v times in the end", n)
		}
	})
}
