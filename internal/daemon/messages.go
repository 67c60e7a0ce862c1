package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/proxy"
	"github.com/xoauthd/xoauthd/proxy/gateway"
)

// messages logs and counts the messages of the gateways.
type messages struct {
	accounts *accounts
	log      *slog.Logger

	total         *prometheus.CounterVec
	size, seconds *prometheus.HistogramVec
}

func newMessages(as *accounts, log *slog.Logger) *messages {
	deliverer := []string{"deliverer"}
	return &messages{
		accounts: as,
		log:      log,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xoauthd_messages_total",
			Help: "Messages through an API or from devices, by result.",
		}, []string{"deliverer", "result"}),
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xoauthd_message_bytes",
			Help:    "Size of messages through an API or from devices.",
			Buckets: prometheus.ExponentialBuckets(4<<10, 4, 8), // to 64 MiB
		}, deliverer),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xoauthd_message_seconds",
			Help:    "Time from DATA to the reply for messages through an API or from devices.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, deliverer),
	}
}

// Describe implements prometheus.Collector.
func (m *messages) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.total, m.size, m.seconds} {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *messages) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.total, m.size, m.seconds} {
		c.Collect(ch)
	}
}

// report logs and counts a message, and records in its account whether it can send. The
// log contains no subject and no content.
func (m *messages) report(r gateway.Report) {
	deliverer := r.Deliverer
	if deliverer == "" {
		deliverer = "none" // no account was found
	}
	m.total.WithLabelValues(deliverer, string(r.Result.Kind)).Inc()
	m.size.WithLabelValues(deliverer).Observe(float64(r.Size))
	m.seconds.WithLabelValues(deliverer).Observe(r.Duration.Seconds())
	if a := m.accounts.byName[r.Account]; a != nil {
		a.messageEnded(r.Result)
	}
	attrs := []slog.Attr{
		slog.String("account", r.Account),
		slog.String("result", string(r.Result.Kind)),
		slog.String("sender", r.Sender),
		slog.Int("recipients", r.Recipients),
		slog.Int64("bytes", r.Size),
		slog.String("deliverer", deliverer),
		slog.String("reply", r.ReplyText()),
		slog.Float64("seconds", r.Duration.Seconds()),
		slog.String("login", r.Login),
		slog.String("client", r.Client),
		slog.String("request_id", r.Result.RequestID),
	}
	attrs = slices.DeleteFunc(attrs, func(a slog.Attr) bool { return a.Value.Equal(slog.StringValue("")) })
	if r.Result.Kind == gateway.Accepted {
		m.log.LogAttrs(context.Background(), slog.LevelInfo, "message accepted", attrs...)
		return
	}
	if r.Result.Err != nil {
		attrs = append(attrs, slog.String("error", m.accounts.secrets.Redact(r.Result.Err.Error())))
	}
	m.log.LogAttrs(context.Background(), messageLevel(r.Result), "message refused", attrs...)
}

// messageLevel returns the level of a message that was not accepted. What only an
// administrator can repair is an error. Without a token, the level is that of a session.
func messageLevel(r gateway.Result) slog.Level {
	switch r.Kind {
	case gateway.TokenRefused, gateway.PermissionMissing, gateway.AccountRefused, gateway.Internal:
		return slog.LevelError
	case gateway.TokenUnavailable:
		if e := (*proxy.Error)(nil); errors.As(r.Err, &e) {
			return e.Result.Level()
		}
	}
	return slog.LevelWarn
}

// messageEnded records in the account what the provider said about its right to send.
func (a *account) messageEnded(r gateway.Result) {
	why := ""
	if r.Err != nil {
		why = r.Err.Error()
	}
	switch r.Kind {
	case gateway.Accepted:
		a.grants.LoggedIn("smtp")
	case gateway.PermissionMissing:
		a.grants.LoginFailed("smtp", auth.ProblemMisconfigured, why, "Add the permission "+r.Permission+" to the application at the provider, and authorize the account again.")
	case gateway.TokenRefused, gateway.AccountRefused:
		a.grants.LoginFailed("smtp", auth.ProblemRefused, why, "")
	case gateway.Unavailable:
		a.grants.LoginFailed("smtp", auth.ProblemUnavailable, why, "")
	}
}
