package proxy

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/proxy/limit"
)

func TestProbe(t *testing.T) {
	for _, protocol := range []string{"imap", "smtp", "pop3"} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newTestServer(&scriptedAccount{})
			s.Limits.Sessions = 1
			other := &preAuthSession("192.0.2.1").counted
			if !s.conns.Admit(other, 1) {
				t.Fatal("not admitted")
			}
			defer s.conns.Leave(other)
			before := descriptors(t)
			if err := s.Probe(t.Context(), protocol); err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%s: %d descriptors, then %d", protocol, before, after)
			}
			synctest.Wait()
			if other.Evicted() || s.conns.Len() != 1 {
				t.Errorf("%s: the probe has evicted a session, or has not ended", protocol)
			}
		})
	}
}

// TestProbeHangs checks that a lock that is held too long is an error.
func TestProbeHangs(t *testing.T) {
	s, _ := newTestServer(&scriptedAccount{})
	locked, unlock := make(chan struct{}), make(chan struct{})
	s.conns.Admit(&limit.Conn{Evict: func() { close(locked); <-unlock }}, 1)
	go s.conns.Admit(new(limit.Conn), 1)
	<-locked
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Probe(ctx, "imap"); err == nil || !strings.Contains(err.Error(), "no greeting") {
		t.Errorf("err = %v", err)
	}
	close(unlock)
	if err := s.Probe(t.Context(), "gopher"); err == nil {
		t.Error("a protocol that does not exist greets")
	}
}
