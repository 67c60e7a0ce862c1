package auth

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/testing/faultfs"
	"github.com/xoauthd/xoauthd/internal/testing/tokenserver"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := oauth.NewMetrics()
		var accounts []*Account
		for name, s := range map[string]*tokenserver.Server{
			"ok":     {Answer: tokenserver.Numbered},
			"down":   {Answer: tokenserver.Always(503, "")},
			"no":     {Answer: tokenserver.Always(400, tokenserver.Withdrawn)},
			"secret": {Answer: tokenserver.Always(401, tokenserver.BadClient)},
			"smtp":   {Answer: tokenserver.Numbered},
		} {
			p := newProvider(s)
			p.Metrics = m
			store := openStore(t, stateDir(t))
			if name != "down" {
				if err := store.Save(name, oauth.Grant{RefreshToken: "refresh0"}); err != nil {
					t.Fatal(err)
				}
			}
			a := NewAccount(name, p, oauth.Consent{}, store, nil)
			if name == "smtp" {
				a.LoggedIn("imap")
				a.LoginFailed("smtp", ProblemRefused, "535 5.7.139 no", "")
				a.LoginFailed("pop3", ProblemUnavailable, "no route", "")
				synctest.Wait() // until the record is saved
				store.Files = faultfs.Failing(store.Files, "write", syscall.ENOSPC)
			}
			a.Token(t.Context(), "")
			accounts = append(accounts, a)
		}
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(m, NewAccountCollector(func() []*Account { return accounts }))
		want := `
# HELP xoauthd_account_failing Whether the account fails, at the provider or at a mail server, and needs no authorization: 1 if so.
# TYPE xoauthd_account_failing gauge
xoauthd_account_failing{account="down"} 0
xoauthd_account_failing{account="no"} 0
xoauthd_account_failing{account="ok"} 0
xoauthd_account_failing{account="secret"} 1
xoauthd_account_failing{account="smtp"} 1
# HELP xoauthd_account_last_login_timestamp_seconds When the account's mail server for the protocol last accepted a login, in seconds since 1970.
# TYPE xoauthd_account_last_login_timestamp_seconds gauge
xoauthd_account_last_login_timestamp_seconds{account="smtp",protocol="imap"} 946684800
# HELP xoauthd_account_last_refresh_timestamp_seconds When xoauthd last refreshed the account's access token, in seconds since 1970.
# TYPE xoauthd_account_last_refresh_timestamp_seconds gauge
xoauthd_account_last_refresh_timestamp_seconds{account="ok"} 946684800
xoauthd_account_last_refresh_timestamp_seconds{account="smtp"} 946684800
# HELP xoauthd_account_login_failing Whether the account's mail server for the protocol refuses logins, or has been unavailable for long: 1 if so.
# TYPE xoauthd_account_login_failing gauge
xoauthd_account_login_failing{account="smtp",protocol="imap"} 0
xoauthd_account_login_failing{account="smtp",protocol="pop3"} 0
xoauthd_account_login_failing{account="smtp",protocol="smtp"} 1
# HELP xoauthd_account_needs_authorization Whether a person must authorize the account (again): 1 if so.
# TYPE xoauthd_account_needs_authorization gauge
xoauthd_account_needs_authorization{account="down"} 1
xoauthd_account_needs_authorization{account="no"} 1
xoauthd_account_needs_authorization{account="ok"} 0
xoauthd_account_needs_authorization{account="secret"} 0
xoauthd_account_needs_authorization{account="smtp"} 0
# HELP xoauthd_grants_unsaved Grants that are in use but not on disk, and are lost if xoauthd ends now.
# TYPE xoauthd_grants_unsaved gauge
xoauthd_grants_unsaved 1
# HELP xoauthd_token_issued_timestamp_seconds When the provider issued the account's access token, in seconds since 1970.
# TYPE xoauthd_token_issued_timestamp_seconds gauge
xoauthd_token_issued_timestamp_seconds{account="ok"} 946684800
xoauthd_token_issued_timestamp_seconds{account="smtp"} 946684800
# HELP xoauthd_token_expiry_timestamp_seconds When the account's access token ends, in seconds since 1970.
# TYPE xoauthd_token_expiry_timestamp_seconds gauge
xoauthd_token_expiry_timestamp_seconds{account="ok"} 946688400
xoauthd_token_expiry_timestamp_seconds{account="smtp"} 946688400
# HELP xoauthd_token_refreshes_total Token refreshes by result.
# TYPE xoauthd_token_refreshes_total counter
xoauthd_token_refreshes_total{provider="example",result="misconfigured"} 1
xoauthd_token_refreshes_total{provider="example",result="needs_authorization"} 1
xoauthd_token_refreshes_total{provider="example",result="ok"} 2
xoauthd_token_refreshes_total{provider="example",result="unavailable"} 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
		problems, err := testutil.GatherAndLint(reg)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
	})
}
