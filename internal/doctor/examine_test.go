package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/flow"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/step"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/proxy"
)

var update = flag.Bool("update", false, "write testdata/*.want anew")

// compare compares a report with a file.
func compare(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".want")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what is told now:\n%s", file, got)
	}
}

// TestReports compares complete reports, as text and as JSON, with the files in testdata.
func TestReports(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(e *env)
	}{
		{"well", func(*env) {}},
		{"never-authorized", func(e *env) {
			e.status = auth.Status{State: auth.NeedsAuthorization, Why: "never authorized"}
		}},
		{"no-network", func(e *env) { e.addresses = nil }},
		{"no-token", func(e *env) {
			e.subject.Token = func(context.Context, string) (string, error) {
				return "", &oauth.Error{Kind: oauth.Misconfigured, Family: oauth.Microsoft, Code: "invalid_client", Description: "AADSTS7000222: the secret has expired"}
			}
			e.subject.Hint = nil
		}},
		{"faults", func(e *env) {
			delete(e.servers, "192.0.2.3:443")
			e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", ca.Expired), says("* OK\r\n"))
			e.servers["192.0.2.2:587"] = says("") // and never more
			e.servers["127.0.0.1:1143"] = says("* BYE too many sessions\r\n")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				test.change(e)
				r, text, object := e.examine()
				for _, s := range r.Steps {
					if cipher, ok := s.Facts["cipher"].(string); ok { // is the machine's choice
						object = strings.ReplaceAll(object, cipher, "TLS_CIPHER")
					}
				}
				compare(t, test.name+".txt", text)
				compare(t, test.name+".json", object+"\n")
				if r.OK != (test.name == "well") {
					t.Errorf("ok is %v", r.OK)
				}
			})
		})
	}
}

// TestWithoutDescriptors checks that no step blames a server, the DNS or the
// configuration when xoauthd has no file descriptor left.
func TestWithoutDescriptors(t *testing.T) {
	files := os.NewSyscallError("socket", syscall.EMFILE)
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: files}
	noDial := func(context.Context, string, string) (net.Conn, error) { return nil, dial }
	for _, test := range []struct {
		name   string
		failed int // steps
		change func(*Subject)
	}{
		{"connections", 6, func(s *Subject) { s.Dial = noDial }}, // two servers, two listeners, the endpoint, the token
		{"lookups", 4, func(s *Subject) {
			s.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "dial udp 192.0.2.53:53: " + files.Error(), Name: host}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				test.change(&e.subject)
				e.subject.Token = func(context.Context, string) (string, error) { return "", &oauth.Error{Err: dial} }
				r, _, _ := e.examine()
				failed := 0
				for _, s := range r.Steps {
					if s.Outcome != step.Failed {
						continue
					}
					failed++
					if !strings.Contains(s.Remedy, "LimitNOFILE=") || strings.Contains(strings.ToLower(s.Remedy), "check") {
						t.Errorf("%s: %s: %s", s.Name, s.Cause, s.Remedy)
					}
				}
				if failed != test.failed {
					t.Errorf("%d steps failed, want %d: %+v", failed, test.failed, r.Steps)
				}
			})
		})
	}
}

const (
	imapGreeting = "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR] The Microsoft Exchange IMAP4 service is ready."
	disabled     = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information."
)

// TestRefusals checks that known refusals of servers have a remedy.
func TestRefusals(t *testing.T) {
	const imapLogin, smtpLogin = "IMAP login at imap.example.com:993", "SMTP login at smtp.example.com:465"
	const imapMailbox = "IMAP mailbox at imap.example.com:993"
	const capability = "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\nTAG OK done"
	for _, test := range []struct {
		name, step    string
		server        func(net.Conn)
		cause, remedy string
	}{
		{"Microsoft refuses the token", imapLogin,
			script(imapGreeting, "CAPABILITY", capability, "AUTHENTICATE", "TAG NO AUTHENTICATE failed."),
			"XOAUTH2: NO AUTHENTICATE failed.", "Hint: upstream_refused."},
		{"Microsoft has no rights for it", imapMailbox,
			script(imapGreeting, "CAPABILITY", capability, "AUTHENTICATE", "TAG OK done", "LIST", "TAG BAD User is authenticated but not connected."),
			"LIST: BAD User is authenticated but not connected.", "Hint: upstream_refused."},
		{"Google refuses the token", imapLogin,
			script(imapGreeting, "CAPABILITY", capability, "AUTHENTICATE", "+ eyJzdGF0dXMiOiI0MDAifQ==",
				"", "T2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"),
			`XOAUTH2: NO [AUTHENTICATIONFAILED] Invalid credentials (Failure) ({"status":"400"})`, "Hint: upstream_refused."},
		{"too many connections", imapLogin,
			script(imapGreeting, "CAPABILITY", capability, "AUTHENTICATE", "TAG NO [LIMIT] Too many"),
			"XOAUTH2: NO [LIMIT] Too many", "Hint: upstream_down."},
		{"the server hangs up", imapLogin,
			script(imapGreeting, "CAPABILITY", capability, "AUTHENTICATE", "* BYE go away\r\nTAG BYE"),
			"XOAUTH2: in resp-cond-state: expected OK, NO or BAD status condition, but got BYE", "Hint: upstream_down."},
		{"the server repeats what it was sent", imapLogin,
			script(imapGreeting, "CAPABILITY", capability, "AUTHENTICATE", "TAG BAD what is LINE\x1b[31m\u202e?"),
			"XOAUTH2: BAD what is T2 AUTHENTICATE XOAUTH2 (hidden) [31m ?", "Hint: upstream_down."},
		{"it never answers", imapLogin,
			script(imapGreeting, "CAPABILITY", capability), "XOAUTH2: no answer within 15s", "Hint: upstream_down."},
		{"it offers no mechanism", imapLogin,
			script("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", "CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done"),
			"mechanism: server does not offer XOAUTH2 or OAUTHBEARER; it offers PLAIN LOGIN", "Hint: misconfigured."},
		{"SMTP AUTH is disabled", smtpLogin,
			script("220 hi", "EHLO", "250-x\r\n250 AUTH LOGIN XOAUTH2", "AUTH", disabled, "*", "500 what"),
			"XOAUTH2: " + disabled, "Hint: upstream_refused."},
		{"submission throttles", smtpLogin,
			script("220 hi", "EHLO", "250-x\r\n250 AUTH XOAUTH2", "AUTH", "432 4.3.2 Concurrent connections limit exceeded", "*", "500 what"),
			"XOAUTH2: 432 4.3.2 Concurrent connections limit exceeded", "Hint: upstream_down."},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				address, name, u := "192.0.2.1:993", "imap.example.com", 0
				if test.step == smtpLogin {
					address, name, u = "192.0.2.2:465", "smtp.example.com", 1
					e.subject.Upstreams[u].Upstream = e.upstream(name, 465, false)
				}
				if strings.Contains(test.cause, "status") {
					e.subject.Upstreams[u].Mechanism = "xoauth2"
				}
				e.servers[address] = secure(e.certificate(name, right), test.server)
				ended := make(map[string]error)
				e.subject.LoginEnded = func(protocol string, err error) { ended[protocol] = err }
				r, _, _ := e.examine()
				protocol := strings.ToLower(test.step[:4])
				if len(ended) != 2 || ended[protocol] == nil || ended["imap"] != nil && ended["smtp"] != nil {
					t.Errorf("the account is told %v", ended)
				}
				s := findStep(t, r, test.step)
				if s.Outcome != step.Failed || !strings.HasPrefix(s.Cause, test.cause) || s.Remedy != test.remedy {
					t.Errorf("%s: cause %q, remedy %q; want %q, %q", s.Outcome, s.Cause, s.Remedy, test.cause, test.remedy)
				}
				for _, other := range r.Steps { // what does not depend on it goes on
					if other.Name != test.step && other.Outcome != step.OK {
						t.Errorf("%s: %s, %s", other.Name, other.Outcome, other.Cause)
					}
				}
			})
		})
	}
}

// The remedy is the same as the hint in the log of a session.
func TestHints(t *testing.T) {
	const login, connection = "IMAP login at imap.example.com:993", "connection to imap.example.com:993"
	refuses := script("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 AUTH=PLAIN SASL-IR] hi",
		"CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 AUTH=PLAIN SASL-IR\r\nTAG OK done",
		"AUTHENTICATE", "TAG NO [AUTHENTICATIONFAILED] no")
	for _, test := range []struct {
		name, step string
		change     func(e *env, u *proxy.Upstream)
		remedy     string
	}{
		{"a token", login, func(*env, *proxy.Upstream) {}, "another mailbox was chosen"},
		{"an app-only token", login, func(_ *env, u *proxy.Upstream) { u.WithoutConsent = true }, "application has no right"},
		{"a password", login, func(e *env, u *proxy.Upstream) {
			u.Mechanism, e.subject.Flow = "password", flow.AppPassword
		}, "an app password"},
		{"TLS at once", connection, func(e *env, u *proxy.Upstream) {
			u.STARTTLS = true
			e.servers["192.0.2.1:993"] = says("")
		}, `tls = "implicit"`},
		{"a full server", connection, func(e *env, _ *proxy.Upstream) {
			e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", right), script("* BYE [LIMIT] too many"))
		}, "fewer programs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.subject.Hint = proxy.Hint
				e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", right), refuses)
				test.change(e, e.subject.Upstreams[0].Upstream)
				r, _, _ := e.examine()
				if s := findStep(t, r, test.step); !strings.Contains(s.Remedy, test.remedy) {
					t.Errorf("%s: %q, want %q", s.Cause, s.Remedy, test.remedy)
				}
			})
		})
	}
}

// TestRefusedAfterChallenge uses a server that requires a response to its challenge before it sends
// the cause.
func TestRefusedAfterChallenge(t *testing.T) {
	for mechanism, status := range map[string]string{"xoauth2": "401", "oauthbearer": "invalid_token"} {
		t.Run(mechanism, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.secret += "other" // than what is sent
				for _, u := range e.subject.Upstreams {
					u.Mechanism = mechanism
				}
				r, _, _ := e.examine()
				said := ` ({"status":"` + status + `","schemes":"bearer","scope":"mail"})`
				for name, want := range map[string]string{
					"IMAP login at imap.example.com:993": "NO [AUTHENTICATIONFAILED] Invalid credentials",
					"SMTP login at smtp.example.com:587": "535 5.7.8 Username and token not accepted",
				} {
					if s := findStep(t, r, name); s.Cause != strings.ToUpper(mechanism)+": "+want+said {
						t.Errorf("%s: %s", name, s.Cause)
					}
				}
			})
		})
	}
}

func TestConnections(t *testing.T) {
	const at, login = "connection to imap.example.com:993", "IMAP login at imap.example.com:993"
	for _, test := range []struct {
		name           string
		change         func(e *env)
		cause, remedy  string
		subject, state string
	}{
		{"the certificate is another's", func(e *env) {
			e.servers["192.0.2.1:993"] = secure(e.certificate("other.example.com", right), says(""))
		}, "TLS: tls: failed to verify certificate: x509: certificate is valid for other.example.com, not imap.example.com",
			"Hint: certificate.", "CN=other.example.com", "failed"},
		{"the certificate is about to end", func(e *env) {
			c := e.certificate("imap.example.com", func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -80), time.Now().Add(9*24*time.Hour+time.Minute)
			})
			e.servers["192.0.2.1:993"] = secure(c, script(imapGreeting))
		}, "the server's certificate expires in 9 days, on 2000-01-10", "The operator of the server must renew it before.",
			"CN=imap.example.com", "warning"},
		{"the port is closed", func(e *env) { delete(e.servers, "192.0.2.1:993") },
			"connecting: dial tcp 192.0.2.1:993: connect: connection refused", "Hint: network.", "", "failed"},
		{"the server sends nothing", func(e *env) {
			e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", right), says(""))
		},
			"greeting: no answer within 10s", "Hint: upstream_down.", "", "failed"},
		{"the server does not begin TLS", func(e *env) { e.servers["192.0.2.1:993"] = says("") },
			"TLS: no answer within 10s", "Hint: upstream_down.", "", "failed"},
		{"it refuses all", func(e *env) {
			e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", right), script("* BYE not today"))
		}, "greeting: BYE not today", "Hint: upstream_down.", "", "failed"},
		{"STARTTLS is not there", func(e *env) {
			e.subject.Upstreams[0].Upstream = e.upstream("imap.example.com", 993, true)
			e.servers["192.0.2.1:993"] = script("* OK hi", "STARTTLS", "TAG BAD what")
		}, "STARTTLS: BAD what", "Hint: upstream_down.", "", "failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				test.change(e)
				r, _, _ := e.examine()
				s := findStep(t, r, at)
				subject, _ := s.Facts["subject"].(string)
				if string(s.Outcome) != test.state || s.Cause != test.cause || s.Remedy != test.remedy || subject != test.subject {
					t.Errorf("%s: cause %q, remedy %q, subject %q", s.Outcome, s.Cause, s.Remedy, subject)
				}
				if l := findStep(t, r, login); s.Outcome == step.Failed && (l.Outcome != step.Skipped || l.Detail != "there is no connection") {
					t.Errorf("login: %+v", l)
				}
			})
		})
	}
}

// A server that sends without end neither blocks the check nor fills its memory.
func TestEndless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, opaque)
		e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", right), func(c net.Conn) {
			_, _ = io.WriteString(c, "* OK ")
			for line := make([]byte, 64<<10); ; {
				if _, err := c.Write(line); err != nil {
					return
				}
			}
		})
		r, _, _ := e.examine()
		s := findStep(t, r, "connection to imap.example.com:993")
		if s.Outcome != step.Failed || !strings.Contains(s.Cause, "sends without end") {
			t.Errorf("%+v", s)
		}
	})
}

// Defaults are those of the machine.
func TestDefaults(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	closed := ln.Addr().String()
	r := NewReport(alice)
	Examine(t.Context(), Subject{
		Account: alice, Enabled: true, Flow: flow.AppPassword,
		Listeners: []Listener{{Protocol: "imap", Address: closed}},
		Upstreams: []Upstream{{&proxy.Upstream{Host: "127.0.0.1", Port: port, TLS: &tls.Config{}}, "imap", alice}},
		Token:     func(context.Context, string) (string, error) { return "secret", nil },
	}, r.Add)
	for _, name := range []string{"connection to " + closed, "IMAP listener at " + closed} {
		if s := findStep(t, r, name); !strings.Contains(s.Cause, "connection refused") {
			t.Errorf("%+v", s)
		}
	}
	s := Subject{Provider: Provider{TokenURL: "https://login.example.com/token"}}
	if u, _, err := s.endpoint(); err != nil || authority(u) != "login.example.com:443" {
		t.Errorf("endpoint %v, %v", u, err)
	}
	if found, err := s.lookup(t.Context(), "127.0.0.1"); err != nil || len(found) != 1 {
		t.Errorf("lookup: %v, %v", found, err)
	}
}

// An app password needs no token endpoint, and is hidden like a token.
func TestPassword(t *testing.T) {
	for _, test := range []struct{ offers, command, mechanism string }{
		{"PLAIN LOGIN", "AUTH PLAIN", "PLAIN"},
		{"XOAUTH2 LOGIN", "AUTH LOGIN", "LOGIN"},
	} {
		t.Run(test.mechanism, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, "abcd-efgh-ijkl-mnop")
				e.subject.Flow = flow.AppPassword
				e.subject.Upstreams = e.subject.Upstreams[1:]
				e.subject.Upstreams[0].Upstream = e.upstream("smtp.example.com", 465, false)
				e.subject.Upstreams[0].Mechanism = "password"
				e.servers["192.0.2.2:465"] = secure(e.certificate("smtp.example.com", right), script("220 hi",
					"EHLO", "250-x\r\n250-SIZE 1000\r\n250 AUTH "+test.offers, "AUTH PLAIN", "235 2.7.0 LINE",
					"AUTH LOGIN", "334 VXNlcm5hbWU6", "YWxpY2VAZXhhbXBsZS5jb20=", "334 UGFzc3dvcmQ6", "YWJjZC1lZmdo", "235 2.7.0 LINE", "RSET", "250 LINE", "NOOP", "250 x", "QUIT", "221 x"))
				r, text, _ := e.examine()
				if s := findStep(t, r, "SMTP login at smtp.example.com:465"); !r.OK || s.Detail != test.mechanism+" as "+alice {
					t.Errorf("%s", text)
				}
				if s := findStep(t, r, "SMTP session at smtp.example.com:465"); s.Detail != "SIZE 1000" {
					t.Errorf("%s", text)
				}
				if strings.Contains(text, "token") {
					t.Errorf("there is no token:\n%s", text)
				}
			})
		})
	}
}

// Few servers require STARTTLS for IMAP, and go-imap uses different code there.
func TestIMAPSTARTTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, "abcd-efgh-ijkl-mnop")
		users := imapmemserver.New()
		user := imapmemserver.NewUser(alice, e.secret)
		if err := user.Create("INBOX", &imap.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		users.AddUser(user)
		server := imapserver.New(&imapserver.Options{
			NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return users.NewSession(), nil, nil
			},
			Caps:      imap.CapSet{imap.CapIMAP4rev1: {}},
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{e.certificate("imap.example.com", right)}},
			Logger:    log.New(io.Discard, "", 0),
		})
		ln := newListener()
		e.serving.Go(func() { _ = server.Serve(ln) })
		t.Cleanup(func() { server.Close() })
		e.servers["192.0.2.1:143"] = func(c net.Conn) { ln.conns <- c }
		e.subject.Flow = flow.AppPassword
		e.subject.Upstreams = []Upstream{{e.upstream("imap.example.com", 143, true), "imap", alice}}
		e.subject.Upstreams[0].Mechanism = "password"
		r, text, _ := e.examine()
		if s := findStep(t, r, "IMAP login at imap.example.com:143"); !r.OK || s.Detail != "PLAIN as "+alice {
			t.Error(text)
		}
		if s := findStep(t, r, "IMAP mailbox at imap.example.com:143"); s.Detail != "1 mailbox, INBOX 0 messages, 0 unseen" {
			t.Error(text)
		}

		e.secret = "qrst-uvwx-yzab-cdef"
		e.subject.Token = func(context.Context, string) (string, error) { return e.secret, nil }
		r, _, _ = e.examine()
		if s := findStep(t, r, "IMAP login at imap.example.com:143"); s.Cause != "PLAIN: NO [AUTHENTICATIONFAILED] Authentication failed" {
			t.Errorf("cause: %s", s.Cause)
		}
	})
}

// A token that does not fit in a command line is sent after the server's challenge.
func TestLongToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, strings.Repeat("0123456789abcdef", 256))
		e.subject.Upstreams[1].Upstream = e.upstream("smtp.example.com", 465, false)
		e.servers["192.0.2.2:465"] = secure(e.certificate("smtp.example.com", right), script("220 hi",
			"EHLO", "250-x\r\n250 AUTH XOAUTH2", "AUTH XOAUTH2 ", "500 5.5.2 Line too long", "AUTH XOAUTH2", "334 ",
			"dXNlcj", "235 2.7.0 yes", "RSET", "250 x", "NOOP", "250 x", "QUIT", "221 x"))
		if r, text, _ := e.examine(); !r.OK {
			t.Error(text)
		}
	})
}

func TestHTTPProxy(t *testing.T) {
	for _, test := range []struct {
		name, cause string
		proxy       func(*http.Request) (*url.URL, error)
	}{
		{"it is there", "", func(*http.Request) (*url.URL, error) {
			return url.Parse("http://user:" + opaque + "@proxy.example.com:3128")
		}},
		{"it is not there", "HTTP: dial tcp: connection refused", func(*http.Request) (*url.URL, error) {
			return url.Parse("http://user:" + opaque + "@192.0.2.9:3128")
		}},
		{"it is nonsense", "the environment names an HTTP proxy that cannot be understood", func(*http.Request) (*url.URL, error) {
			return nil, errors.New("invalid proxy address " + opaque)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.subject.Provider.Proxy = test.proxy
				e.addresses["proxy.example.com"] = "192.0.2.8"
				delete(e.addresses, "login.example.com") // which only the proxy knows
				e.servers["192.0.2.8:3128"] = proxied(e.endpoint)
				r, text, _ := e.examine()
				s := findStep(t, r, "token endpoint at login.example.com:443")
				switch {
				case test.cause == "" && (!r.OK || !strings.Contains(s.Detail, "through http://proxy.example.com:3128, TLS 1.3")):
					t.Error(text)
				case test.cause != "" && s.Outcome != step.Failed:
					t.Error(text)
				}
			})
		})
	}
}

// With an outbound proxy, only the proxy's name is resolved here, for mail and for tokens.
func TestThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, opaque)
		through, err := url.Parse("http://user:" + opaque + "@proxy.example.com")
		if err != nil {
			t.Fatal(err)
		}
		e.subject.Provider.Through, e.subject.Provider.Proxy = through, http.ProxyURL(through)
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			return e.dial(ctx, network, strings.NewReplacer("imap.example.com", "192.0.2.1", "smtp.example.com", "192.0.2.2").Replace(address))
		}
		for _, u := range e.subject.Upstreams {
			u.Dial = dial
		}
		e.addresses = map[string]string{"proxy.example.com": "192.0.2.8"}
		e.servers["192.0.2.8:80"] = proxied(e.endpoint)
		r, text, _ := e.examine()
		const way = "http://proxy.example.com:80"
		for _, name := range []string{"connection to imap.example.com:993", "token endpoint at login.example.com:443"} {
			if s := findStep(t, r, name); !r.OK || s.Facts["proxy"] != way || !strings.Contains(s.Detail, " through "+way+", ") {
				t.Error(text)
			}
		}
		if strings.Count(text, "DNS of ") != 1 {
			t.Error(text)
		}
	})
}

// TestSecondAttemptThroughProxy checks that the second attempt, after a refused token, also
// uses the outbound proxy of the provider.
func TestSecondAttemptThroughProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, opaque)
		e.subject.Token = func(_ context.Context, stale string) (string, error) {
			if stale == "" {
				return "ya29.revoked-before-its-time-0123456789", nil
			}
			return opaque, nil
		}
		tunnels := make(map[string]int)
		for _, u := range e.subject.Upstreams {
			u.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				tunnels[address]++
				return e.dial(ctx, network, strings.NewReplacer("imap.example.com", "192.0.2.1", "smtp.example.com", "192.0.2.2").Replace(address))
			}
		}
		e.subject.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "imap.") || strings.HasPrefix(address, "smtp.") {
				t.Errorf("%s is dialled directly", address)
			}
			return e.dial(ctx, network, address)
		}
		r, text, _ := e.examine()
		if s := findStep(t, r, "IMAP login at imap.example.com:993"); s.Outcome != step.OK {
			t.Errorf("%s:\n%s", s.Outcome, text)
		}
		if tunnels["imap.example.com:993"] != 2 {
			t.Errorf("connections through the proxy: %v", tunnels)
		}
	})
}

// The check of a listener reads the greeting as a mail client does.
func TestListeners(t *testing.T) {
	for _, test := range []struct {
		name, cause, detail string
		listener            Listener
		serve               func(*env) func(net.Conn)
	}{
		{"TLS from the first octet on", "", "it greets, TLS 1.3; certificate of localhost by xoauthd test CA, valid for ",
			Listener{Protocol: "imap", Address: "127.0.0.1:993", TLS: true},
			func(e *env) func(net.Conn) { return secure(e.certificate("localhost", right), says("* OK\r\n")) }},
		{"a certificate that is about to end", "the server's certificate expires in 9 days", "it greets, TLS 1.3",
			Listener{Protocol: "imap", Address: "127.0.0.1:993", TLS: true},
			func(e *env) func(net.Conn) {
				c := e.certificate("localhost", func(c *x509.Certificate) {
					c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -80), time.Now().Add(9*24*time.Hour+time.Minute)
				})
				return secure(c, says("* OK\r\n"))
			}},
		{"no TLS where it should be", "TLS: ", "",
			Listener{Protocol: "imap", Address: "127.0.0.1:993", TLS: true},
			func(*env) func(net.Conn) { return says("* OK\r\n") }},
		{"a unix socket", "", "it greets", Listener{Protocol: "pop3", Address: "unix:/run/xoauthd/pop3.sock"},
			func(*env) func(net.Conn) { return says("+OK\r\n") }},
		{"not for us", "", "accepts connections, from some clients only", Listener{Protocol: "imap", Address: "127.0.0.1:1143", Selective: true},
			func(*env) func(net.Conn) { return says("") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				e.subject.Listeners = []Listener{test.listener}
				e.servers[strings.TrimPrefix(test.listener.Address, "unix:")] = test.serve(e)
				r, _, _ := e.examine()
				s := findStep(t, r, strings.ToUpper(test.listener.Protocol)+" listener at "+test.listener.Address)
				if !strings.HasPrefix(s.Detail, test.detail) || !strings.HasPrefix(s.Cause, test.cause) || (s.Cause == "") != (test.cause == "") {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestListenerOfSystemd checks that listeners with addresses are examined although,
// without the daemon, the address of a socket that systemd holds is not known.
func TestListenerOfSystemd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, opaque)
		e.subject.Listeners = append(e.subject.Listeners, Listener{Protocol: "imap", Systemd: "office"})
		r, text, _ := e.examine()
		s := findStep(t, r, `IMAP listener at the socket "office" of systemd`)
		if s.Outcome != step.Skipped || s.Detail != "no daemon runs that knows its address" {
			t.Errorf("%+v\n%s", s, text)
		}
	})
}

// proxied is a proxy that connects every request to one server.
func proxied(serve func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		for line := range lines(c) {
			if line == "" {
				break
			}
		}
		if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err == nil {
			serve(c)
		}
	}
}

// TestTime checks that a check ends within a minute however slow the servers are, and at
// once when its context ends.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, opaque)
		for address := range e.servers {
			e.servers[address] = says("")
		}
		e.subject.Listeners = slices.Repeat(e.subject.Listeners, 3)
		e.subject.Token = func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}
		start := time.Now()
		r, text, _ := e.examine()
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v:\n%s", took, text)
		}
		if s := findStep(t, r, "access token"); s.Cause != "no answer within 20s" {
			t.Error(s.Cause)
		}
		if last := r.Steps[len(r.Steps)-1]; last.Outcome != step.Skipped || last.Detail != errLate.Error() {
			t.Errorf("last: %+v", last)
		}

		ctx, cancel := context.WithCancel(t.Context())
		var reported []step.Step
		ok := Examine(ctx, e.subject, func(s step.Step) {
			reported = append(reported, s)
			cancel()
		})
		if ok || len(reported) < 2 || reported[1].Outcome != step.Skipped {
			t.Errorf("canceled: %+v", reported)
		}
	})
}

func TestConfiguration(t *testing.T) {
	for _, test := range []struct {
		name          string
		change        func(e *env)
		step          string
		outcome       step.Outcome
		detail        string // its beginning
		cause, remedy string
		logins        step.Outcome // and of the token
	}{
		{"not enabled", func(e *env) { e.subject.Enabled = false }, "configuration",
			step.Failed, "provider", "the account is not enabled", `Remove "enabled = false" from it in the configuration.`, step.OK},
		{"no listener", func(e *env) { e.subject.Listeners = nil }, "configuration",
			step.Failed, "provider", "no listener leads to the account", "Add a [[listener]] for a protocol of provider example to the configuration.", step.OK},
		{"an account of a pattern", func(e *env) { e.subject.Pattern = "*@example.com" }, "configuration",
			step.OK, "account *@example.com, provider", "", "", step.OK},
		{"authorized by another", func(e *env) { e.status.Identity = "boss@example.com" }, "authorization",
			step.OK, "3 days ago by boss@example.com, refreshed 10 minutes ago", "", "", step.OK},
		{"nobody has to", func(e *env) { e.status = auth.Status{State: auth.Authorized} }, "authorization",
			step.OK, "needs no person", "", "", step.OK},
		{"withdrawn", func(e *env) {
			e.status.State, e.status.Why, e.status.Hint = auth.NeedsAuthorization, "token endpoint: invalid_grant", "Seven days are over."
		}, "authorization", step.Failed, "3 days ago", "token endpoint: invalid_grant",
			"Seven days are over. Open http://localhost:1180/authorize/alice@example.com", step.Skipped},
		{"failing for now", func(e *env) {
			e.status.State = auth.Failing
			e.status.Problems = []auth.Problem{
				{Part: auth.PartProvider, Text: "token endpoint: HTTP status 503", Hint: "It passes."},
				{Part: "smtp", Text: "which the login is for", Hint: "See there."},
			}
		}, "authorization", step.Warning, "3 days ago", "token endpoint: HTTP status 503", "It passes.", step.OK},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, opaque)
				test.change(e)
				r, _, _ := e.examine()
				s := findStep(t, r, test.step)
				if s.Outcome != test.outcome || !strings.HasPrefix(s.Detail, test.detail) || s.Cause != test.cause || s.Remedy != test.remedy {
					t.Errorf("%+v", s)
				}
				for _, other := range r.Steps {
					want := step.OK
					if strings.Contains(other.Name, "login at") || strings.Contains(other.Name, "access token") || strings.Contains(other.Name, "claims") {
						want = test.logins
					}
					if other.Name != test.step && other.Outcome != want {
						t.Errorf("%+v, want %s", other, want)
					}
				}
			})
		})
	}
}

// TestCapabilities checks that a token among capabilities is hidden although go-imap makes
// them upper case.
func TestCapabilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, opaque)
		capability := "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR APPENDLIMIT=" + base64.StdEncoding.EncodeToString([]byte(opaque)) + "\r\nTAG OK done"
		e.servers["192.0.2.1:993"] = secure(e.certificate("imap.example.com", right), script("* OK hi",
			"CAPABILITY", capability, "AUTHENTICATE", "TAG OK done", "CAPABILITY", capability,
			"LIST", "TAG OK done", "STATUS", "* STATUS INBOX (MESSAGES 1 UNSEEN 0)\r\nTAG OK done", "LOGOUT", "* BYE\r\nTAG OK done"))
		r, _, _ := e.examine()
		got, _ := findStep(t, r, "IMAP mailbox at imap.example.com:993").Facts["capabilities"].([]string)
		if want := []string{"AUTH=XOAUTH2", "IMAP4rev1", "SASL-IR"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestUnknownAPI checks that the remedy for an API whose name has no address is about DNS.
func TestUnknownAPI(t *testing.T) {
	e := newEnv(t, "the-access-token")
	e.subject.API = &SendAPI{Title: "the API", URL: "https://api.example.com/v1", Token: func(context.Context) (string, error) { return "the-access-token", nil }}
	e.subject.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "api.example.com:443" {
			_, err := e.lookup(ctx, "api.example.com")
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
		return e.dial(ctx, network, address)
	}
	r, _, _ := e.examine()
	if s := findStep(t, r, "connection to the API"); s.Outcome != step.Failed || s.Remedy != remedyName {
		t.Errorf("%+v", s)
	}
}
