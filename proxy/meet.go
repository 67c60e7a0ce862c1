package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// How long a client that may begin TLS or not has to do so. One that does not
// waits to be greeted meanwhile. One that does sends its first octet with the
// connection, but may be a slow device, or have to send it twice.
const (
	beginHere      = 500 * time.Millisecond // for a program of this machine
	beginElsewhere = 2 * time.Second
)

// meet is what happens before the greeting: it finds out whose connection this
// is, and begins TLS where that is the first thing to do.
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

// patience is how long a client may take that need not begin TLS.
func (s *session) patience() time.Duration {
	if s.isHere() {
		return beginHere
	}
	return beginElsewhere
}

// throughProxy learns from a load balancer whose connection it passes on. Its own
// connections, by which it sees whether we are well, are its own.
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
		s.counts.comesFrom(s, from)
	}
	return nil
}

// localUser finds out which user of this machine has connected.
func (s *session) localUser() error {
	uid, err := s.Peers.UID(s.conn)
	if err != nil {
		return Fail(Forbidden, fmt.Errorf("not known to be of local_users: %w", err))
	}
	s.record.localUser = peercred.UserName(uid)
	if !slices.Contains(s.l.LocalUsers, uid) {
		return Fail(Forbidden, fmt.Errorf("%s is not one of local_users", s.record.localUser))
	}
	return nil
}
