package password

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Why a password was refused, in the metrics.
const (
	reasonUnknownUser   = "unknown_user"
	reasonWrongPassword = "wrong_password"
	reasonNotAllowed    = "not_allowed" // though the password was right
	reasonThrottled     = "too_many_guesses"
)

// Metrics counts passwords that are refused. It is a prometheus.Collector. A nil
// *Metrics counts nothing.
type Metrics struct {
	failures *prometheus.CounterVec
	delayed  prometheus.Counter
}

// NewMetrics returns counters at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_password_failures_total",
			Help: "Local passwords that were refused, by why.",
		}, []string{"reason"}),
		delayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "xoauthd_password_failures_delayed_total",
			Help: "Local passwords that were refused, and were delayed before.",
		}),
	}
	for _, reason := range []string{reasonUnknownUser, reasonWrongPassword, reasonNotAllowed, reasonThrottled} {
		m.failures.WithLabelValues(reason)
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.failures.Describe(ch)
	m.delayed.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.failures.Collect(ch)
	m.delayed.Collect(ch)
}

// countFailure counts err if it refuses a password.
func (m *Metrics) countFailure(err error) {
	var r *refusal
	switch {
	case m == nil:
	case errors.As(err, &r):
		m.failures.WithLabelValues(r.reason).Inc()
	case errors.Is(err, ErrThrottled):
		m.failures.WithLabelValues(reasonThrottled).Inc()
	}
}

func (m *Metrics) countDelayed() {
	if m != nil {
		m.delayed.Inc()
	}
}
