package expiry

import (
	"crypto/x509"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestSoon(t *testing.T) {
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		left time.Duration
		want bool
	}{{-day, true}, {30 * day, true}, {30*day + 1, false}} {
		if got := Soon(now.Add(row.left), now); got != row.want {
			t.Errorf("%v left: %t", row.left, got)
		}
	}
	if Soon(time.Time{}, now) {
		t.Error("no expiry is soon")
	}
}

func TestCertificateSoon(t *testing.T) {
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		life, left time.Duration
		want       bool
	}{
		{365 * day, 30 * day, true},
		{365 * day, 30*day + time.Second, false},
		{90 * day, 18 * day, true},
		{90 * day, 18*day + time.Second, false},
		{90 * day, -day, true},
	} {
		end := now.Add(row.left)
		c := &x509.Certificate{NotBefore: end.Add(-row.life), NotAfter: end}
		if got := CertificateSoon(c, now); got != row.want {
			t.Errorf("%v left of %v: %t", row.left, row.life, got)
		}
	}
}
