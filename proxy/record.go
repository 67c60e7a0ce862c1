package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A record is what is told of a session when it has ended.
type record struct {
	protocol string
	id       int64 // tells the lines of one session in a trace
	client   net.Addr
	start    time.Time

	via       net.Addr             // the load balancer, if client is what that said
	localUser string               // of this machine, where not everybody may connect
	tls       *tls.ConnectionState // nil outside TLS
	queued    time.Duration        // how long it waited for its places
	refused   int                  // attempts to log in that were
	ended     string               // what ended the relay

	lastAttempt

	up, down             atomic.Int64 // octets relayed to the upstream, and to the client
	toUpstream, toClient prometheus.Counter
}

// A lastAttempt is what is told of how a client last tried to log in.
type lastAttempt struct {
	user          string // the client said that it is
	ownToken      bool   // and had an access token
	account       string // which its password opened, or would have
	login         string // the label of which of the account's
	authenticated bool   // the password was that of account
	upstream      string
	upstreamUser  string // who the account is there, unless its name says so
}

// sent counts n octets relayed to the upstream.
func (r *record) sent(n int) {
	r.up.Add(int64(n))
	r.toUpstream.Add(float64(n))
}

// received counts n octets relayed to the client.
func (r *record) received(n int) {
	r.down.Add(int64(n))
	r.toClient.Add(float64(n))
}

// result is how the session went that ended with err.
func (r *record) result(err error) Result {
	if err == nil {
		return OK
	}
	return failure(err).Result
}

// attrs are the line that is logged when the session has ended.
func (r *record) attrs(err error) []slog.Attr {
	attrs := append(r.clientAttrs(), slog.String("result", string(r.result(err))))
	attrs = append(attrs, r.loginAttrs()...)
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if r.refused > 0 {
		attrs = append(attrs, slog.Int("refused", r.refused))
	}
	text("ended", r.ended)
	if err != nil {
		text("why", reason(err))
		text("hint", Hint(err))
	}
	if p := (*panicked)(nil); errors.As(err, &p) {
		text("stack", p.where())
	}
	return append(attrs,
		slog.Int64("up", r.up.Load()),
		slog.Int64("down", r.down.Load()),
		slog.Float64("seconds", seconds(time.Since(r.start))))
}

// clientAttrs are what is known of the client before it logs in.
func (r *record) clientAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("protocol", r.protocol),
		slog.Int64("id", r.id),
		slog.String("client", addrText(r.client)),
	}
	if r.via != nil {
		attrs = append(attrs, slog.String("via", addrText(r.via)))
	}
	if r.localUser != "" {
		attrs = append(attrs, slog.String("local_user", r.localUser))
	}
	if r.tls != nil {
		attrs = append(attrs, slog.String("tls", tls.VersionName(r.tls.Version))) // "TLS 1.3"
		if certificates := r.tls.PeerCertificates; len(certificates) > 0 {
			attrs = append(attrs, slog.String("client_certificate", text.Line(certificates[0].Subject.CommonName, 100)))
		}
	}
	return attrs
}

// loginAttrs are what is known of the client's last attempt to log in.
func (r *record) loginAttrs() (attrs []slog.Attr) {
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if r.account != "" {
		text("account", r.account)
		text("login", r.login)
	} else {
		text("user", r.userText())
	}
	if r.ownToken {
		attrs = append(attrs, slog.Bool("own_token", true))
	}
	if r.queued > 0 {
		attrs = append(attrs, slog.Float64("queued", seconds(r.queued)))
	}
	text("upstream", r.upstream)
	text("upstream_user", r.upstreamUser)
	return attrs
}

// userText is the name that the client gave, for the log. It is of no account, so
// unless it is an address it may be a password in the wrong place, of which only the
// first letter and the length are told.
func (r *record) userText() string {
	if r.user == "" || isAddress(r.user) {
		return text.Line(r.user, 100)
	}
	first, _ := utf8.DecodeRuneInString(r.user)
	return text.Line(fmt.Sprintf("%c… (%d characters, no address)", first, utf8.RuneCountInString(r.user)), 100)
}

// domain is that of an address on the Internet.
var domain = regexp.MustCompile(`^([0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?\.)+[A-Za-z][0-9A-Za-z-]*[0-9A-Za-z]$`)

// isAddress reports whether a user name is the address of a mailbox, or several with
// the dividers of shared mailboxes between them.
func isAddress(name string) bool {
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '\\' || r == '*' }) {
		local, host, _ := strings.Cut(part, "@")
		if local == "" || !domain.MatchString(host) {
			return false
		}
	}
	return true
}

// addrOf is the IP address of a, or not valid if it has none.
func addrOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap().WithZone("")
}

// addrText is a for reading: a client of a unix socket has no name of its own.
func addrText(a net.Addr) string {
	if text := a.String(); text != "" && text != "@" {
		return text
	}
	return a.Network()
}

// seconds rounds d to milliseconds, for reading.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
