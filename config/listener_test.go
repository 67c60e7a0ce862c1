package config

import (
	"crypto/tls"
	"path/filepath"
	"testing"
)

// TestListenerDefaults checks the defaults of TLS keys, above all of require_tls.
func TestListenerDefaults(t *testing.T) {
	dir := copyTestdata(t)
	c := load(t, filepath.Join(dir, "good", "listeners.toml"))
	got := map[string]Listener{}
	for _, l := range c.Listeners {
		got[l.Address] = l
	}
	for _, row := range []struct {
		address   string
		tls       TLSMode
		required  bool
		minTLS    uint16
		clientCAs bool
	}{
		{"localhost:1143", "none", false, tls.VersionTLS12, false},
		{"[::]:993", "implicit", true, tls.VersionTLS10, true},
		{":25", "starttls", true, tls.VersionTLS11, false},
		{"127.0.0.1:465", "starttls", false, tls.VersionTLS12, false},
		{"192.0.2.1:587", "auto", true, tls.VersionTLS13, false},
		{"127.0.0.1:110", "implicit", true, tls.VersionTLS12, false},
		{"127.0.0.1:1110", "starttls", true, tls.VersionTLS12, false},
		{"127.0.0.1:1111", "auto", true, tls.VersionTLS12, true},
		{"unix:/run/xoauthd/imap.sock", "starttls", false, tls.VersionTLS12, false},
		{"unix:/run/imap.sock", "none", false, tls.VersionTLS12, false},
	} {
		l := got[row.address]
		if l.TLS != row.tls || l.RequireTLS != row.required || l.MinTLS != row.minTLS || (l.ClientCAs != nil) != row.clientCAs {
			t.Errorf("%s: %+v, want %+v", row.address, l, row)
		}
	}
	byDefault := Socket{-1, -1, 0o660}
	if s := got["unix:/run/xoauthd/imap.sock"].Socket; s != byDefault {
		t.Errorf("%+v, want %+v", s, byDefault)
	}
}
