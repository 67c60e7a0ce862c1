package auth

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewAccountCollector returns a collector of the state of accounts. It calls accounts at
// each scrape.
func NewAccountCollector(accounts func() []*Account) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("xoauthd_"+name, help, labels, nil)
	}
	return &accountCollector{
		accounts: accounts,
		expiry: desc("token_expiry_timestamp_seconds",
			"When the account's access token ends, in seconds since 1970.", "account"),
		issued: desc("token_issued_timestamp_seconds",
			"When the provider issued the account's access token, in seconds since 1970.", "account"),
		refreshed: desc("account_last_refresh_timestamp_seconds",
			"When xoauthd last refreshed the account's access token, in seconds since 1970.", "account"),
		needs: desc("account_needs_authorization",
			"Whether a person must authorize the account (again): 1 if so.", "account"),
		failing: desc("account_failing",
			"Whether the account fails, at the provider or at a mail server, and needs no authorization: 1 if so.", "account"),
		loginFailing: desc("account_login_failing",
			"Whether the account's mail server for the protocol refuses logins, or has been unavailable for long: 1 if so.", "account", "protocol"),
		lastLogin: desc("account_last_login_timestamp_seconds",
			"When the account's mail server for the protocol last accepted a login, in seconds since 1970.", "account", "protocol"),
		unsaved: desc("grants_unsaved",
			"Grants that are in use but not on disk, and are lost if xoauthd ends now."),
	}
}

type accountCollector struct {
	accounts                  func() []*Account
	expiry, issued, refreshed *prometheus.Desc
	needs, failing, unsaved   *prometheus.Desc
	loginFailing, lastLogin   *prometheus.Desc
}

func (c *accountCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.expiry, c.issued, c.refreshed, c.needs, c.failing, c.unsaved, c.loginFailing, c.lastLogin} {
		ch <- d
	}
}

func (c *accountCollector) Collect(ch chan<- prometheus.Metric) {
	unsaved := 0
	for _, a := range c.accounts() {
		s := a.Status()
		ch <- gauge(c.needs, truth(s.State == NeedsAuthorization), a.Name())
		ch <- gauge(c.failing, truth(s.State == Failing), a.Name())
		c.collectLogins(ch, a.Name(), s)
		if a.Unsaved() {
			unsaved++
		}
		if a.idle() { // its token is not refreshed; an old one is normal
			continue
		}
		collectTime(ch, c.expiry, s.Expiry, a.Name())
		collectTime(ch, c.refreshed, s.Refreshed, a.Name())
		issued := s.Obtained
		if s.Refreshed.After(issued) {
			issued = s.Refreshed
		}
		collectTime(ch, c.issued, issued, a.Name())
	}
	ch <- gauge(c.unsaved, float64(unsaved))
}

// collectLogins collects the last results of logins, for each protocol that was used.
func (c *accountCollector) collectLogins(ch chan<- prometheus.Metric, account string, s Status) {
	failing := make(map[string]bool)
	for protocol, at := range s.Logins {
		failing[protocol] = false
		collectTime(ch, c.lastLogin, at, account, protocol)
	}
	for _, p := range s.Problems {
		if p.Part != PartProvider && p.Part != PartStore {
			failing[p.Part] = p.Failing
		}
	}
	for protocol, is := range failing {
		ch <- gauge(c.loginFailing, truth(is), account, protocol)
	}
}

// collectTime collects at, unless it is zero.
func collectTime(ch chan<- prometheus.Metric, d *prometheus.Desc, at time.Time, labels ...string) {
	if !at.IsZero() {
		ch <- gauge(d, float64(at.Unix()), labels...)
	}
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
