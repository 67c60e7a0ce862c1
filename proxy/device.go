package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/proxy/limit"
	"github.com/xoauthd/xoauthd/proxy/relay"
	smtpdialogue "github.com/xoauthd/xoauthd/proxy/smtp"
)

// A clientKey is the key of ClientOf in a context.
type clientKey struct{}

// ClientOf returns the address of the client for which ctx dials an upstream. It is invalid
// if the client has none, or if ctx is not that of a session without a login.
func ClientOf(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(clientKey{}).(netip.Addr)
	return a
}

func withClient(ctx context.Context, a netip.Addr) context.Context {
	return context.WithValue(ctx, clientKey{}, a)
}

// servesDevices reports whether clients send mail without a login.
func (l *Listener) servesDevices() bool { return len(l.Devices) > 0 }

// newDialogue returns the dialogue with the client.
func (s *session) newDialogue(ctx context.Context) serverDialogue {
	extensions := func(hello string, wanted bool) []string { return s.extensions(ctx, hello, wanted) }
	if s.listener.servesDevices() {
		return smtpdialogue.NewDeviceServer(s.client, extensions)
	}
	return s.protocol.server(s.client, s.listener.mechanisms(), extensions)
}

// newTracker returns the tracker of a session after its login.
func (s *session) newTracker() relay.Tracker {
	if s.listener.servesDevices() {
		return &smtpdialogue.Tracker{BareLF: true}
	}
	return s.protocol.tracker()
}

// checkDevice returns an error if the client is none of the devices.
func (s *session) checkDevice() error {
	if slices.ContainsFunc(s.listener.Devices, func(n netip.Prefix) bool { return n.Contains(s.from) }) {
		return nil
	}
	return Fail(Forbidden, fmt.Errorf("%s is not in networks", s.from))
}

// rejectDevice tells a client that is none of the devices so. The reply is permanent,
// because trying again does not help.
func (s *session) rejectDevice(e *Error) {
	s.client.Printf("554 5.7.1 %s", e.text())
	s.client.Flush()
}

// connectDevice connects a client without a login to the upstream of its listener.
func (s *session) connectDevice(ctx context.Context) (*upstreamSession, error) {
	u := s.listener.Upstreams[0]
	return s.withSlots(ctx, []limit.Limit{s.addressLimit()}, func() (*upstreamSession, error) {
		if !s.server.conns.SetAuthenticated(&s.counted) {
			return nil, s.tooMany()
		}
		c, err := s.takeEarly(ctx, u)
		if err == nil && c == nil {
			c, err = s.server.dial(withClient(ctx, s.from), s.protocol, u, s.hello, s.tracer("upstream"))
		}
		if err != nil {
			s.server.conns.SetUnauthenticated(&s.counted)
			return nil, err
		}
		return &upstreamSession{upstreamConn: c}, nil
	})
}

// SMTPReply returns the reply for a client whose message cannot be sent because of err, the
// error of an Account.
func SMTPReply(err error) *smtp.SMTPError {
	e := asError(err)
	r := &smtp.SMTPError{Message: e.text()}
	c := &r.EnhancedCode
	if _, err := fmt.Sscanf(answers[e.Result].smtp, "%d %d.%d.%d", &r.Code, &c[0], &c[1], &c[2]); err != nil {
		r.Code, r.EnhancedCode = 451, smtp.EnhancedCode{4, 3, 0}
	}
	if r.Code == 454 { // which is for AUTH (RFC 4954 section 6)
		r.Code = 451
	}
	return r
}
