package proxy

import (
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of sessions.
type Metrics struct {
	sessions      *prometheus.CounterVec
	logins        *prometheus.CounterVec
	active        *prometheus.GaugeVec
	queued        *prometheus.GaugeVec
	inQueue       *prometheus.HistogramVec
	relayed       *prometheus.CounterVec
	upstreamLogIn *prometheus.HistogramVec
}

// NewMetrics registers the metrics of sessions with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_sessions_total",
			Help: "Ended sessions by result.",
		}, []string{"protocol", "result"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_logins_total",
			Help: "Login attempts that named an account, by result.",
		}, []string{"account", "login", "protocol", "result"}),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "xoauthd_active_sessions",
			Help: "Current sessions, logged in or not.",
		}, []string{"protocol"}),
		queued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "xoauthd_queued_sessions",
			Help: "Current sessions that wait for a slot.",
		}, []string{"protocol"}),
		inQueue: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xoauthd_session_queue_seconds",
			Help:    "Time that sessions waited for a slot.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"protocol"}),
		relayed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_relayed_bytes_total",
			Help: "Bytes relayed after login, by receiving side.",
		}, []string{"protocol", "to"}),
		upstreamLogIn: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xoauthd_upstream_login_seconds",
			Help:    "Time of successful connections and logins to mail servers.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"protocol", "provider"}),
	}
	r.MustRegister(m.sessions, m.logins, m.active, m.queued, m.inQueue, m.relayed, m.upstreamLogIn)
	// rate() needs an initial zero. For logins that would be too many series.
	for protocol := range protocols {
		m.active.WithLabelValues(protocol)
		m.queued.WithLabelValues(protocol)
		m.inQueue.WithLabelValues(protocol)
		m.relayed.WithLabelValues(protocol, "upstream")
		m.relayed.WithLabelValues(protocol, "client")
		for _, result := range results() {
			m.sessions.WithLabelValues(protocol, string(result))
		}
	}
	return m
}

// sessionStarted counts a new session, and returns its record.
func (m *Metrics) sessionStarted(protocol string, id int64, client net.Addr) *sessionRecord {
	m.active.WithLabelValues(protocol).Inc()
	return &sessionRecord{
		protocol:   protocol,
		id:         id,
		client:     client,
		start:      time.Now(),
		toUpstream: m.relayed.WithLabelValues(protocol, "upstream"),
		toClient:   m.relayed.WithLabelValues(protocol, "client"),
	}
}

// login counts a login attempt.
func (m *Metrics) login(r *sessionRecord, err error) {
	m.logins.WithLabelValues(r.account, r.login, r.protocol, string(r.result(err))).Inc()
}

// sessionEnded counts the result of a session.
func (m *Metrics) sessionEnded(r *sessionRecord, err error) {
	m.active.WithLabelValues(r.protocol).Dec()
	m.sessions.WithLabelValues(r.protocol, string(r.result(err))).Inc()
}

// waiting counts a session that waits for a slot. The caller must call the result when it stops waiting.
func (m *Metrics) waiting(protocol string) (end func()) {
	start := time.Now()
	m.queued.WithLabelValues(protocol).Inc()
	return func() {
		m.queued.WithLabelValues(protocol).Dec()
		m.inQueue.WithLabelValues(protocol).Observe(time.Since(start).Seconds())
	}
}

func (m *Metrics) upstreamLogin(protocol, provider string, d time.Duration) {
	m.upstreamLogIn.WithLabelValues(protocol, provider).Observe(d.Seconds())
}
