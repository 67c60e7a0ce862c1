package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestMetrics checks the names and labels of all metrics, which dashboards use.
var promised = []string{
	"xoauthd_active_sessions{protocol}",
	"xoauthd_logins_total{account,login,protocol,result}",
	"xoauthd_queued_sessions{protocol}",
	"xoauthd_relayed_bytes_total{protocol,to}",
	"xoauthd_session_queue_seconds{protocol}",
	"xoauthd_sessions_total{protocol,result}",
	"xoauthd_upstream_login_seconds{protocol,provider}",
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.upstreamLogin("imap", "example", time.Second)
	m.login(&sessionRecord{protocol: "imap", lastAttempt: lastAttempt{account: "joe@example.com", login: "scanner"}}, nil)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		got = append(got, f.GetName()+"{"+strings.Join(labels, ",")+"}")
	}
	if !slices.Equal(got, promised) {
		t.Errorf("%q", got)
	}
	// rate() needs an initial zero.
	if n, want := testutil.CollectAndCount(m.sessions), len(protocols)*len(results()); n != want {
		t.Errorf("%d counts of sessions, want %d", n, want)
	}
}
