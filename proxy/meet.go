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
	beginHere      = 500 * time.Millisecond // for a program of this machine
	beginElsewhere = 2 * time.Second
)

// meet does what comes before the greeting: PROXY header, user of this machine, implicit
// TLS.
func (s *session) meet() error {
	if len(s.l.Proxies) > 0 {
		if err := s.throughProxy(); err != nil {
			return err
		}
	}
	if len(s.l.LocalUsers) > 0 {
		if err := s.localUser(); err != nil {
			return err
		}
	}
	if s.l.TLS == nil {
		return nil
	}
	if s.l.Begin != ImplicitTLS {
		s.client.OfferTLS(s.l.TLS, s.l.RequireTLS)
	}
	if s.l.Begin == StartTLS {
		return nil
	}
	wait := s.Limits.LogIn
	if s.l.Begin == AnyTLS {
		wait = s.patience()
	}
	begins, err := s.client.DetectTLS(wait)
	if err != nil || !begins && s.l.Begin == AnyTLS {
		return err
	}
	return s.client.BeginTLS(s.l.TLS)
}

// patience is how long to wait for a TLS handshake that may not come.
func (s *session) patience() time.Duration {
	if s.isHere() {
		return beginHere
	}
	return beginElsewhere
}

// throughProxy reads the PROXY header of a load balancer. Connections for its own health
// checks keep its address.
func (s *session) throughProxy() error {
	if !slices.ContainsFunc(s.l.Proxies, func(p netip.Prefix) bool { return p.Contains(s.from) }) {
		return Fail(Forbidden, fmt.Errorf("%s is not one of proxy_protocol", s.from))
	}
	client, err := s.client.ReadProxyHeader()
	if err != nil {
		return err
	}
	if from := addrOf(client); from.IsValid() {
		s.record.client, s.record.via = client, s.record.client
		s.from, s.source = from, peercred.SourceOfAddr(from)
		s.conns.SetSource(&s.counted, s.source)
	}
	return nil
}

// localUser checks the user of this machine.
func (s *session) localUser() error {
	uid, err := s.Peers.UID(s.conn)
	if err != nil {
		return Fail(Forbidden, fmt.Errorf("user not known (local_users): %w", err))
	}
	s.record.localUser = peercred.UserName(uid)
	if !slices.Contains(s.l.LocalUsers, uid) {
		return Fail(Forbidden, fmt.Errorf("user %s is not in local_users", s.record.localUser))
	}
	return nil
}
