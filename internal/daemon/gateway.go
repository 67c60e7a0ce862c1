package daemon

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/gateway"
	"github.com/xoauthd/xoauthd/proxy/wire"
)

// Time limits of connections for sending.
const (
	dialTimeout = 10 * time.Second
	idleAPIConn = 90 * time.Second
	pingAfter   = 15 * time.Second // without a byte, a connection may be lost
)

// maxDeviceMessage limits a message of a device in bytes, whose account may only be known
// when it names the sender. It is the largest that a provider accepts.
const maxDeviceMessage = 36700160

// gateways receive whole messages in this process and deliver them: for providers with an
// API for sending, and for listeners without a login.
type gateways struct {
	accounts *accounts
	report   func(gateway.Report)
	errorLog *log.Logger // for panics
	all      []*gateway.Server
}

// newGateway returns a gateway whose messages the deliverer sends; nil is that of each
// account.
func (g *gateways) newGateway(d gateway.Deliverer) *gateway.Server {
	s := &gateway.Server{Name: "xoauthd.invalid", Deliverer: d, Account: g.loggedIn, Report: g.report, TempDir: tempDir(),
		Redact: g.accounts.secrets.Redact, ErrorLog: g.errorLog}
	g.all = append(g.all, s)
	return s
}

// tempDir returns the directory for long messages. Other than /tmp, /var/tmp is on a disk,
// so that they do not cost memory.
func tempDir() string {
	const dir = "/var/tmp"
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	return os.TempDir()
}

// close ends all deliveries.
func (g *gateways) close() (err error) {
	for _, s := range g.all {
		err = errors.Join(err, s.Close())
	}
	return err
}

// forAPI returns the upstream of a provider that sends by an API.
func (g *gateways) forAPI(c *config.Provider, d gateway.Deliverer) *proxy.Upstream {
	s := g.newGateway(d)
	return &proxy.Upstream{
		Provider:  c.Name,
		Family:    c.FamilyOf(c.SMTP),
		Host:      c.SMTP.Host,
		Port:      c.SMTP.Port,
		Mechanism: "xoauth2",
		InProcess: true,
		Dial:      func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) },
	}
}

// forDevices returns the upstream of a listener without a login.
func (g *gateways) forDevices(d *config.Devices) *proxy.Upstream {
	s := g.newGateway(nil)
	s.MaxSize = maxDeviceMessage
	var account *gateway.Account
	if d.Account != "" {
		account = g.accounts.byName[d.Account].sender()
		if most := account.Deliverer.Traits().MaxSize; most > 0 {
			s.MaxSize = most
		}
	}
	return &proxy.Upstream{
		Host:      "devices",
		InProcess: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.DialDevice(ctx, &gateway.Device{
				Account:       account,
				BySender:      g.bySender,
				Senders:       d.Senders,
				RewriteSender: d.RewriteSender,
				Client:        clientText(proxy.ClientOf(ctx)),
			})
		},
	}
}

func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// gatewayUser returns the user name with which a session logs in to a gateway: the account
// and the label of the client's login, which may be empty. No account has a \ in its name.
func gatewayUser(account, label string) string { return account + `\` + label }

// loggedIn returns the account that a session has logged in with. The session has checked
// the client's password already, and sends the account's own token. Another token is refused:
// a listener with client_tokens could pass on the token of a client.
func (g *gateways) loggedIn(user, token string) (*gateway.Account, error) {
	name, label, _ := strings.Cut(user, `\`)
	a := g.accounts.byName[name]
	if a == nil {
		return nil, errors.New("unknown account")
	}
	sender := a.sender()
	sender.Login = label
	own, err := sender.Token(context.Background(), "")
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(own), []byte(token)) != 1 {
		return nil, errors.New("not the token of the account")
	}
	return sender, nil
}

// bySender returns the enabled account that MAIL FROM names.
func (g *gateways) bySender(address string) (*gateway.Account, error) {
	a := g.accounts.byLower[strings.ToLower(address)]
	switch {
	case a == nil || !a.config.Enabled:
		return nil, nil
	case a.provider.deliverer == nil:
		return nil, fmt.Errorf("the provider of <%s> has no SMTP server", address)
	}
	return a.sender(), nil
}

// sender returns a as the gateway sends its messages.
func (a *account) sender() *gateway.Account {
	return &gateway.Account{
		Name:      a.Name(),
		Mailbox:   a.Name(),
		User:      a.config.User("smtp"),
		Token:     a.sendingToken,
		Deliverer: a.provider.deliverer,
		Rate:      a.rate,
		Rules:     gateway.Rules{HeaderRecipients: headerRecipients(a.provider.config)},
	}
}

// sendsByAPI reports whether sessions of protocol send by an API.
func (a *account) sendsByAPI(protocol string) bool {
	return protocol == "smtp" && a.provider.config.SMTPAPI != nil
}

// sendingResource returns what the access token for sending opens.
func (a *account) sendingResource() oauth.Resource {
	if api := a.provider.config.SMTPAPI; api != nil && len(api.Scopes) > 0 {
		return oauth.Resource(api.Name)
	}
	return oauth.Mail
}

// An apiAccount is an account in sessions that send by an API. It implements proxy.Account.
type apiAccount struct{ account *account }

// Name implements proxy.Account.
func (a apiAccount) Name() string { return a.account.Name() }

// Upstream implements proxy.Account.
func (a apiAccount) Upstream(protocol string) *proxy.Upstream { return a.account.Upstream(protocol) }

// LoginEnded implements proxy.Account. Only a message shows whether the API accepts the
// token, so a login is not reported.
func (a apiAccount) LoginEnded(protocol string, err error) {
	if err != nil {
		a.account.LoginEnded(protocol, err)
	}
}

// Token implements proxy.Account.
func (a apiAccount) Token(ctx context.Context, stale string) (string, error) {
	return a.account.tokenFor(ctx, a.account.sendingResource(), stale)
}

// sendingToken returns an access token for sending other than stale. Its error has the
// reply for the client.
func (a *account) sendingToken(ctx context.Context, stale string) (string, error) {
	token, err := a.tokenFor(ctx, a.sendingResource(), stale)
	if err != nil {
		return "", &sendingError{err, proxy.SMTPReply(err)}
	}
	return token, nil
}

// A sendingError has the reply for a client whose message cannot be sent.
type sendingError struct {
	error
	reply *smtp.SMTPError
}

// Unwrap returns the reply, which package gateway looks for.
func (e *sendingError) Unwrap() []error { return []error{e.error, e.reply} }

// sendTest sends a test message through the account, and returns the reply.
func (a *account) sendTest(ctx context.Context, to string) (string, error) {
	sender := a.sender()
	content := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: Test message of xoauthd\r\nDate: %s\r\nMessage-ID: <%s@xoauthd.invalid>\r\n\r\n"+
		"xoauthd has sent this message through the account %[1]s.\r\n", sender.Mailbox, to, time.Now().Format(time.RFC1123Z), rand.Text())
	r := sender.Deliverer.Deliver(ctx, gateway.NewMessage(sender, sender.Mailbox, []string{to}, []byte(content)))
	return gateway.Report{Result: r}.ReplyText(), r.Err
}

// newDeliverer returns what sends the messages of a provider.
func newDeliverer(c *config.Provider, way route) gateway.Deliverer {
	switch {
	case c.SMTPAPI == nil:
		return newSubmission(c, way)
	case c.SMTPAPI.Name == "gmail":
		return &gateway.Gmail{BaseURL: c.SMTPAPI.URL, Transport: apiTransport(c, way)}
	}
	return &gateway.Graph{BaseURL: c.SMTPAPI.URL, AppOnly: c.Flow == flow.ClientCredentials, Transport: apiTransport(c, way)}
}

// apiTransport is for requests to the API for sending.
func apiTransport(c *config.Provider, way route) http.RoundTripper {
	return &http.Transport{
		Proxy:               way.calls,
		DialContext:         (&net.Dialer{KeepAliveConfig: wire.KeepAlive}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     idleAPIConn,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
}

// newSubmission returns what sends the messages of devices by a submission server.
func newSubmission(c *config.Provider, way route) *gateway.Submission {
	u := newUpstream(c, c.SMTP, way)
	dial := u.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: wire.KeepAlive}).DialContext
	}
	s := &gateway.Submission{Host: u.Host, Port: u.Port, Mechanism: u.Mechanism, Concurrent: u.Sessions}
	if u.STARTTLS {
		s.StartTLS = u.TLS
	}
	s.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx, "tcp", u.Address())
		if err != nil || u.STARTTLS {
			return conn, err
		}
		t := tls.Client(conn, u.TLS)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return t, nil
	}
	return s
}

// headerRecipients returns what unlisted_recipients says.
func headerRecipients(c *config.Provider) gateway.HeaderRecipients {
	if c.SMTPAPI == nil {
		return gateway.RefuseMessage
	}
	return map[string]gateway.HeaderRecipients{"send": gateway.DeliverToThem, "remove": gateway.DropFromTheField}[c.SMTPAPI.UnlistedRecipients]
}
