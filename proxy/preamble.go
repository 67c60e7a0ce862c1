package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// How long a listener with AnyTLS waits for the first byte of a TLS handshake. A client
// without TLS waits for the greeting meanwhile. A client with TLS sends it at once, but may
// be slow, or have to send it twice.
const (
	tlsDetectTimeoutLocal  = 500 * time.Millisecond // for a program of this machine
	tlsDetectTimeoutRemote = 2 * time.Second
)

// preamble does what comes before the greeting: PROXY header, user of this machine, implicit
// TLS.
func (s *session) preamble() error {
	if len(s.listener.Proxies) > 0 {
		if err := s.readProxyHeader(); err != nil {
			return err
		}
	}
	if len(s.listener.LocalUsers) > 0 {
		if err := s.checkLocalUser(); err != nil {
			return err
		}
	}
	if s.listener.servesDevices() {
		if err := s.checkDevice(); err != nil {
			return err
		}
	}
	if s.listener.TLS == nil {
		return nil
	}
	if s.listener.TLSMode != ImplicitTLS {
		s.client.OfferTLS(s.listener.TLS, s.listener.RequireTLS)
	}
	if s.listener.TLSMode == StartTLS {
		return nil
	}
	wait := s.server.Limits.LogIn
	if s.listener.TLSMode == AnyTLS {
		wait = s.tlsDetectTimeout()
	}
	starts, err := s.client.DetectTLS(wait)
	if err != nil || !starts && s.listener.TLSMode == AnyTLS {
		return err
	}
	return s.client.BeginTLS(s.listener.TLS)
}

// tlsDetectTimeout is how long to wait for a TLS handshake that may not come.
func (s *session) tlsDetectTimeout() time.Duration {
	if s.isLocal() {
		return tlsDetectTimeoutLocal
	}
	return tlsDetectTimeoutRemote
}

// readProxyHeader reads the PROXY header of a load balancer. Connections for its own health
// checks keep its address.
func (s *session) readProxyHeader() error {
	if !slices.ContainsFunc(s.listener.Proxies, func(p netip.Prefix) bool { return p.Contains(s.from) }) {
		return Fail(Forbidden, fmt.Errorf("%s is not one of proxy_protocol", s.from))
	}
	client, err := s.client.ReadProxyHeader()
	if err != nil {
		return err
	}
	if from := addrOf(client); from.IsValid() {
		s.record.client, s.record.via = client, s.record.client
		s.from, s.source = from, peercred.SourceOfAddr(from)
		s.server.conns.SetSource(&s.counted, s.source)
	}
	return nil
}

// checkLocalUser checks the user of this machine. local_users works over TCP because most
// mail programs cannot connect to a unix socket.
func (s *session) checkLocalUser() error {
	uid, err := s.server.Peers.UID(s.conn)
	if err != nil {
		return Fail(Forbidden, fmt.Errorf("user not known (local_users): %w", err))
	}
	s.record.localUser = peercred.UserName(uid)
	if !slices.Contains(s.listener.LocalUsers, uid) {
		return Fail(Forbidden, fmt.Errorf("user %s is not in local_users", s.record.localUser))
	}
	return nil
}
