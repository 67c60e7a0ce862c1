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
	s := &session{conn: unconnected{}, record: new(record), client: wire.New(unconnected{}, time.Minute)}
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

// A client's own token is passed on as it is, once, whatever the accounts are,
// and the client is no stranger any more when the upstream has taken it. The token
// is hidden in what the upstream says of it, and on later connections if it was one:
// anybody can send words of the log as a token.
func TestOwnTokens(t *testing.T) {
	const hello = "U> * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello"
	const auth = "U< A1 AUTHENTICATE XOAUTH2 b64(user=ann@example.com^Aauth=Bearer 0wn-t0ken^A^A)"
	for _, test := range []struct {
		name, user, token string
		displaced         bool // before the upstream has answered
		script            []string
		want              Result
	}{
		{"taken", "ann@example.com", "0wn-t0ken", false, []string{"U+", hello, auth, "U> A1 OK [CAPABILITY IMAP4rev1] in"}, OK},
		{"refused", "ann@example.com", "0wn-t0ken", false, []string{"U+", hello, auth, "U> A1 NO no 0wn-t0ken", "U$"}, UpstreamRefused},
		{"taken too late", "ann@example.com", "0wn-t0ken", true, []string{"U+", hello, auth, "U> A1 OK [CAPABILITY IMAP4rev1] in", "U$"}, TooManySessions},
		{"not a token", "ann@example.com", "0wn-t0ken\x01", false, nil, BadCredentials},
		{"not a name", "ann@example.com\x01auth=Bearer x", "0wn-t0ken", false, nil, BadCredentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlayer(t, "imap", slog.LevelInfo)
				p.c, p.done = newPeer(nobody{}), make(chan struct{})
				close(p.done)
				defer p.end()
				s := preAuthSession("192.0.2.1")
				s.Server, s.l, s.protocol, s.stopping = p.server, p.listener, protocols["imap"], p.stopped
				s.record.protocol = "imap"
				p.server.conns.Admit(&s.counted, 1)
				defer p.server.conns.Leave(&s.counted)
				p.server.Limits.PerAddress = 1

				type end struct {
					k       *link
					release func()
					err     error
				}
				ended := make(chan end, 1)
				go func() {
					k, _, release, err := s.logIn(t.Context(), sasl.Credentials{User: test.user, Token: test.token})
					ended <- end{k, release, err}
				}()
				for i, line := range test.script {
					if test.displaced && i == 3 {
						p.server.conns.Admit(&preAuthSession("192.0.2.1").counted, 1)
					}
					if err := p.play(line); err != nil {
						t.Fatal(line, err)
					}
				}
				e := <-ended
				if paused := p.server.semaphore.Len() > 0; test.want != OK && paused != (test.want == UpstreamRefused) {
					t.Errorf("the place is kept: %v", paused)
				}
				time.Sleep(tokenPause)
				synctest.Wait()
				if got := s.record.result(e.err); got != test.want {
					t.Errorf("%s: %v", got, e.err)
				}
				if (e.k != nil) != (test.want == OK) || p.server.semaphore.Len() > 0 != (test.want == OK) {
					t.Errorf("link %v, slots of %d limits", e.k, p.server.semaphore.Len())
				}
				if authenticated := !p.server.conns.Admit(&preAuthSession("192.0.2.1").counted, 1); authenticated != (test.want == OK) {
					t.Errorf("the session is authenticated: %v", authenticated)
				}
				if e.err != nil && strings.Contains(e.err.Error(), "0wn-t0ken") {
					t.Errorf("the token is told: %v", e.err)
				}
				if hidden := !s.l.Upstreams[0].secrets().Clean("0wn-t0ken"); hidden != (test.want == OK || test.displaced) {
					t.Errorf("the token is hidden from now on: %v", hidden)
				}
				if e.k != nil {
					e.k.close()
					e.release()
				}
				if r := s.record; r.account != "" || !r.ownToken || r.user != test.user {
					t.Errorf("%+v", r.lastAttempt)
				}
			})
		})
	}
}

// Whatever names they claim, strangers of one address have few tokens tried, keep
// no user of another address out, and are forgotten after a while.
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
			x.Server, x.l, x.protocol, x.stopping = s, &Listener{Protocol: "imap", Upstreams: []*Upstream{{Host: "mail.example.com"}}}, protocols["imap"], t.Context()
			_, _, _, err := x.logIn(t.Context(), sasl.Credentials{User: "joe@example.com", Token: "x"})
			return failure(err).Result
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

// A labelled account tells whose login it would have been, even if it is none.
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

// Each attempt is counted for the login that it names, if that exists.
func TestLoginsAreCounted(t *testing.T) {
	for _, test := range []struct {
		name, said string
		want       string // in the log
		scanner    float64
	}{
		{"the wrong password of a login", "a LOGIN scanner1 x\r\nb LOGIN scanner1 x\r\nc LOGOUT\r\n",
			`account=joe@example.com login=scanner refused=2 why="wrong password"`, 2},
		{"a name that does not exist, after one that does", "a LOGIN scanner1 x\r\nb LOGIN scanner2 x\r\nc LOGOUT\r\n", `user="s… (8 characters, no address)" refused=2 why="no such login"`, 1},
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
	s.Server, s.l = &Server{Limits: Limits{PerAddress: 2}}, &Listener{Protocol: "smtp"}
	for want, b := range map[string]limit.Limit{
		"session limit reached: 3 for account joe@example.com at smtp.example.com:587 (provider.microsoft.smtp.sessions)": s.upstreamLimit("account joe@example.com", u),
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

// A login is logged and counted when it happens, and not when its session ends.
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
