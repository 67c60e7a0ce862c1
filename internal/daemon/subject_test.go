package daemon

import (
	"crypto/tls"
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

func TestProof(t *testing.T) {
	for _, test := range []struct {
		provider config.Provider
		want     string
	}{
		{config.Provider{}, ""},
		{config.Provider{ClientSecret: "s3cret"}, "client_secret"},
		{config.Provider{ClientCertificate: &tls.Certificate{}}, "client_certificate"},
		{config.Provider{ClientAssertionFile: "/run/token"}, "client_assertion_file"},
	} {
		if got := proof(&test.provider); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
