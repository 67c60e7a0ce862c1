package password

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the label reason.
const (
	reasonUnknownUser   = "unknown_user"
	reasonWrongPassword = "wrong_password"
	reasonNotAllowed    = "not_allowed" // correct password, but outside the limits of the login
	reasonThrottled     = "too_many_guesses"
)

// Metrics counts refused passwords. It is a prometheus.Collector. A nil *Metrics counts
// nothing.
type Metrics struct {
	failures *prometheus.CounterVec
	delayed  prometheus.Counter
}

// NewMetrics returns Metrics with all counters at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_password_failures_total",
			Help: "Refused local passwords by reason.",
		}, []string{"reason"}),
		delayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "xoauthd_password_failures_delayed_total",
			Help: "Refused local passwords that the throttle had delayed.",
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

// countFailure counts err if it is a refusal or ErrThrottled.
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
