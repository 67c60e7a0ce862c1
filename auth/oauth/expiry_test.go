package oauth

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestExpiring(t *testing.T) {
	const day = 24 * time.Hour
	at := time.Date(2027, time.March, 1, 12, 0, 0, 0, time.Local)
	for _, tt := range []struct {
		name string
		left time.Duration
		want string
		soon bool
	}{
		{"long before", 200 * day, "expires on 1 March 2027, in 200 days", false},
		{"just not soon", 30*day + time.Second, "expires on 1 March 2027, in 30 days", false},
		{"soon", 30 * day, "expires on 1 March 2027, in 30 days", true},
		{"within two days", 2*day - time.Second, "expires on 1 March 2027, in 47 hours", true},
		{"on the last day", day - time.Second, "expires on 1 March 2027, in 23 hours", true},
		{"at that moment", 0, "expired just now", true},
		{"afterwards", -3 * day, "expired 3 days ago", true},
	} {
		p := &Provider{CredentialExpiry: at}
		if text, soon := p.Expiring(at.Add(-tt.left)); text != tt.want || soon != tt.soon {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, text, soon, tt.want, tt.soon)
		}
	}
	if text, soon := new(Provider).Expiring(at); text != "" || soon {
		t.Errorf("not known: %q, %v", text, soon)
	}
}

func TestProviderCollector(t *testing.T) {
	providers := []*Provider{{Name: "known", CredentialExpiry: time.Unix(1804000000, 0)}, {Name: "unknown"}}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(NewProviderCollector(func() []*Provider { return providers }))
	want := `
# HELP xoauthd_client_credential_expiry_timestamp_seconds When the client's secret or certificate at the provider expires, in seconds since 1970.
# TYPE xoauthd_client_credential_expiry_timestamp_seconds gauge
xoauthd_client_credential_expiry_timestamp_seconds{provider="known"} 1.804e+09
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
