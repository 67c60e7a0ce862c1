package oauth

import (
	"github.com/prometheus/client_golang/prometheus"
)

const resultOK = "ok" // the other results are the kinds of failure

// Metrics counts token refreshes. It is a prometheus.Collector, and may be shared by several
// providers.
type Metrics struct {
	refreshes *prometheus.CounterVec
}

// NewMetrics returns new counters.
func NewMetrics() *Metrics {
	return &Metrics{
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_token_refreshes_total",
			Help: "Token refreshes by result.",
		}, []string{"provider", "result"}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.refreshes.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.refreshes.Collect(ch)
}

// Declare exports the counters of a provider before its first refresh: rate() needs an
// initial zero.
func (m *Metrics) Declare(provider string) {
	if m == nil {
		return
	}
	for _, result := range []string{resultOK, Temporary.String(), NeedsConsent.String(), Misconfigured.String()} {
		m.refreshes.WithLabelValues(provider, result)
	}
}

func (m *Metrics) count(provider, result string) {
	if m != nil {
		m.refreshes.WithLabelValues(provider, result).Inc()
	}
}

// NewProviderCollector returns a collector of the expiry of client credentials, where it is
// known. It calls providers at each scrape.
func NewProviderCollector(providers func() []*Provider) prometheus.Collector {
	return &providerCollector{
		providers: providers,
		expiry: prometheus.NewDesc("xoauthd_client_credential_expiry_timestamp_seconds",
			"When the client's secret or certificate at the provider expires, in seconds since 1970.", []string{"provider"}, nil),
	}
}

type providerCollector struct {
	providers func() []*Provider
	expiry    *prometheus.Desc
}

func (c *providerCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.expiry }

func (c *providerCollector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.providers() {
		if at := p.CredentialExpiry; !at.IsZero() {
			ch <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(at.Unix()), p.Name)
		}
	}
}
