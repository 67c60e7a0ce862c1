package proxy

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProbe(t *testing.T) {
	for _, protocol := range []string{"imap", "smtp", "pop3"} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newTestServer(&scriptedAccount{})
			s.Limits.Sessions = 1
			other := stranger(1, "192.0.2.1")
			if leave, ok := s.counts.admit(other, 1); !ok {
				t.Fatal("not admitted")
			} else {
				defer leave()
			}
			before := descriptors(t)
			if err := s.Probe(t.Context(), protocol); err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("%s: %d descriptors, then %d", protocol, before, after)
			}
			synctest.Wait()
			if other.displaced.Load() || s.counts.sessions != 1 {
				t.Errorf("%s: the probe has evicted a session, or has not ended", protocol)
			}
		})
	}
}

// TestProbeHangs checks that a lock that is held too long is an error.
func TestProbeHangs(t *testing.T) {
	s, _ := newTestServer(&scriptedAccount{})
	s.counts.mu.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Probe(ctx, "imap"); err == nil || !strings.Contains(err.Error(), "no greeting") {
		t.Errorf("err = %v", err)
	}
	s.counts.mu.Unlock()
	if err := s.Probe(t.Context(), "gopher"); err == nil {
		t.Error("a protocol that does not exist is well")
	}
}
