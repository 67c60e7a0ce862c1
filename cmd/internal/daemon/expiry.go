package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/auth"
)

// warnOfExpiry warns of secrets and certificates that are about to end, once a
// day: a registration that has ended takes all of its accounts with it, and a
// certificate all of its programs. At the start, the configuration has told of
// registrations.
func warnOfExpiry(ctx context.Context, providers []*auth.Provider, cs certificates, log *slog.Logger) {
	cs.warn(log)
	for {
		select {
		case <-time.After(24 * time.Hour):
		case <-ctx.Done():
			return
		}
		for _, p := range providers {
			if when, soon := p.Expiring(time.Now()); soon {
				log.Warn("the client's secret or certificate must be renewed at the provider", "provider", p.Name, "when", when)
			}
		}
		cs.warn(log)
	}
}

// expirySoon is as of a client's credentials, but for certificates that live so
// short that something renews them: that has its time, up to the last fifth.
const expirySoon = 30 * 24 * time.Hour

func (cs certificates) warn(log *slog.Logger) {
	for _, c := range cs {
		leaf := c.current().Leaf
		soon := min(expirySoon, leaf.NotAfter.Sub(leaf.NotBefore)/5)
		if left := time.Until(leaf.NotAfter); left <= soon {
			log.Warn("certificate must be renewed, or programs will refuse it", "file", c.File, "ends", leaf.NotAfter.UTC().Format(time.RFC3339))
		}
	}
}

// An expiryCollector is the metric of when certificates end.
type expiryCollector struct {
	certificates *certificates
	expiry       *prometheus.Desc
}

func newExpiryCollector(cs *certificates) prometheus.Collector {
	return &expiryCollector{cs, prometheus.NewDesc("xoauthd_certificate_expiry_timestamp_seconds",
		"When the certificate that programs are shown expires, in seconds since 1970.", []string{"file"}, nil)}
}

func (c *expiryCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.expiry }

func (c *expiryCollector) Collect(ch chan<- prometheus.Metric) {
	for _, one := range *c.certificates {
		ch <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(one.current().Leaf.NotAfter.Unix()), one.File)
	}
}
