package proxy

import (
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what is counted of sessions.
type Metrics struct {
	sessions      *prometheus.CounterVec
	active        *prometheus.GaugeVec
	relayed       *prometheus.CounterVec
	upstreamLogIn *prometheus.HistogramVec
}

// NewMetrics registers the metrics of sessions with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_sessions_total",
			Help: "Sessions that have ended, by how they went.",
		}, []string{"protocol", "result"}),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "xoauthd_active_sessions",
			Help: "Sessions that are there now, logged in or not.",
		}, []string{"protocol"}),
		relayed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_relayed_bytes_total",
			Help: "Bytes relayed after login, by the side that they went to.",
		}, []string{"protocol", "to"}),
		upstreamLogIn: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xoauthd_upstream_login_seconds",
			Help:    "Time to connect and log in to an upstream, where it succeeded.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"protocol", "provider"}),
	}
	r.MustRegister(m.sessions, m.active, m.relayed, m.upstreamLogIn)
	// A rate needs a zero to begin with.
	for protocol := range protocols {
		m.active.WithLabelValues(protocol)
		m.relayed.WithLabelValues(protocol, "upstream")
		m.relayed.WithLabelValues(protocol, "client")
		for _, result := range results() {
			m.sessions.WithLabelValues(protocol, string(result))
		}
	}
	return m
}

// begin counts a session, and returns its record.
func (m *Metrics) begin(protocol string, id int64, client net.Addr) *record {
	m.active.WithLabelValues(protocol).Inc()
	return &record{
		protocol:   protocol,
		id:         id,
		client:     client,
		start:      time.Now(),
		toUpstream: m.relayed.WithLabelValues(protocol, "upstream"),
		toClient:   m.relayed.WithLabelValues(protocol, "client"),
	}
}

// end counts how the session of r went.
func (m *Metrics) end(r *record, err error) {
	m.active.WithLabelValues(r.protocol).Dec()
	m.sessions.WithLabelValues(r.protocol, string(r.result(err))).Inc()
}

func (m *Metrics) upstreamLogin(protocol, provider string, d time.Duration) {
	m.upstreamLogIn.WithLabelValues(protocol, provider).Observe(d.Seconds())
}
