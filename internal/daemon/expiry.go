package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/expiry"
)

// warnOfExpiry logs client secrets and certificates that expire soon, once a day: all
// accounts depend on them. At the start, the configuration has warned of secrets
// already.
func warnOfExpiry(ctx context.Context, providers []*oauth.Provider, cs certificates, log *slog.Logger) {
	cs.warn(log)
	for {
		select {
		case <-time.After(24 * time.Hour):
		case <-ctx.Done():
			return
		}
		for _, p := range providers {
			if when, soon := p.Expiring(time.Now()); soon {
				log.Warn("client secret or certificate expires soon", "provider", p.Name, "expires", when)
			}
		}
		cs.warn(log)
	}
}

func (cs certificates) warn(log *slog.Logger) {
	for _, c := range cs {
		if leaf := c.current().Leaf; expiry.CertificateSoon(leaf, time.Now()) {
			log.Warn("certificate expires soon", "file", c.File, "expires", leaf.NotAfter.UTC().Format(time.RFC3339))
		}
	}
}

// An expiryCollector exports the expiry of server certificates.
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
