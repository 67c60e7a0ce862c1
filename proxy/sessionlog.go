package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/internal/panics"
	"github.com/xoauthd/xoauthd/internal/text"
)

// A sessionRecord has the attributes of a session for log and metrics.
type sessionRecord struct {
	protocol string
	id       int64 // of the session, for the trace
	client   net.Addr
	start    time.Time

	via       net.Addr             // the load balancer, if client is from its PROXY header
	localUser string               // user of this machine; known for listeners with LocalUsers
	tls       *tls.ConnectionState // nil outside TLS
	queued    time.Duration        // time that it waited for slots
	refused   int                  // login attempts
	ended     string               // why the relay ended

	lastAttempt

	up, down             atomic.Int64 // bytes relayed to the upstream, and to the client
	toUpstream, toClient prometheus.Counter
}

// A lastAttempt has the attributes of the last login attempt.
type lastAttempt struct {
	user          string // user name of the client
	ownToken      bool   // with an access token of the client
	account       string // account of the user name
	login         string // label of the login
	authenticated bool   // the password was right
	upstream      string
	upstreamUser  string // user name there, if it is not the account's name
}

// sent counts n bytes relayed to the upstream.
func (r *sessionRecord) sent(n int) {
	r.up.Add(int64(n))
	r.toUpstream.Add(float64(n))
}

// received counts n bytes relayed to the client.
func (r *sessionRecord) received(n int) {
	r.down.Add(int64(n))
	r.toClient.Add(float64(n))
}

// result returns the result of a session that ended with err.
func (r *sessionRecord) result(err error) Result {
	if err == nil {
		return OK
	}
	return asError(err).Result
}

// attrs returns the attributes of the line "session ended".
func (r *sessionRecord) attrs(err error) []slog.Attr {
	attrs := append(r.clientAttrs(), slog.String("result", string(r.result(err))))
	attrs = append(attrs, r.loginAttrs()...)
	if r.refused > 0 {
		attrs = append(attrs, slog.Int("refused", r.refused))
	}
	attrs = append(attrs, slog.String("ended", r.ended))
	if err != nil {
		attrs = append(attrs, slog.String("error", logText(err)), slog.String("hint", Hint(err)))
	}
	if p := (*panics.Error)(nil); errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", p.Origin()))
	}
	return nonEmpty(append(attrs,
		slog.Int64("up", r.up.Load()),
		slog.Int64("down", r.down.Load()),
		slog.Float64("seconds", seconds(time.Since(r.start)))))
}

// nonEmpty returns attrs without those whose value is an empty string.
func nonEmpty(attrs []slog.Attr) []slog.Attr {
	return slices.DeleteFunc(attrs, func(a slog.Attr) bool { return a.Value.Equal(slog.StringValue("")) })
}

// clientAttrs returns the attributes of the client.
func (r *sessionRecord) clientAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("protocol", r.protocol),
		slog.Int64("id", r.id),
		slog.String("client", addrText(r.client)),
	}
	if r.via != nil {
		attrs = append(attrs, slog.String("via", addrText(r.via)))
	}
	attrs = append(attrs, slog.String("local_user", r.localUser))
	if r.tls != nil {
		attrs = append(attrs, slog.String("tls", tls.VersionName(r.tls.Version))) // "TLS 1.3"
		if certificates := r.tls.PeerCertificates; len(certificates) > 0 {
			attrs = append(attrs, slog.String("client_certificate", text.Line(certificates[0].Subject.CommonName, 100)))
		}
	}
	return nonEmpty(attrs)
}

// loginAttrs returns the attributes of the last login attempt.
func (r *sessionRecord) loginAttrs() (attrs []slog.Attr) {
	if r.account != "" {
		attrs = append(attrs, slog.String("account", r.account), slog.String("login", r.login))
	} else {
		attrs = append(attrs, slog.String("user", r.userText()))
	}
	if r.ownToken {
		attrs = append(attrs, slog.Bool("own_token", true))
	}
	if r.queued > 0 {
		attrs = append(attrs, slog.Float64("queued", seconds(r.queued)))
	}
	return nonEmpty(append(attrs, slog.String("upstream", r.upstream), slog.String("upstream_user", r.upstreamUser)))
}

// userText returns the user name of the client for the log. A name without an account that
// is no address may be a password in the wrong field: only its first letter and its length
// are logged.
func (r *sessionRecord) userText() string {
	if r.user == "" || isAddress(r.user) {
		return text.Line(r.user, 100)
	}
	first, _ := utf8.DecodeRuneInString(r.user)
	return text.Line(fmt.Sprintf("%c… (%d characters, no address)", first, utf8.RuneCountInString(r.user)), 100)
}

// domain matches the domain of an Internet address.
var domain = regexp.MustCompile(`^([0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?\.)+[A-Za-z][0-9A-Za-z-]*[0-9A-Za-z]$`)

// isAddress reports whether a user name is an address, or several with the dividers of
// shared mailboxes.
func isAddress(name string) bool {
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '\\' || r == '*' }) {
		local, host, _ := strings.Cut(part, "@")
		if local == "" || !domain.MatchString(host) {
			return false
		}
	}
	return true
}

// addrOf returns the IP address of a; invalid if it has none.
func addrOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap().WithZone("")
}

// addrText formats a. A client of a unix socket has no address.
func addrText(a net.Addr) string {
	if text := a.String(); text != "" && text != "@" {
		return text
	}
	return a.Network()
}

// seconds returns d in seconds, rounded to milliseconds.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
