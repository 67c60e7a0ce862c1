package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/cmd/internal/daemon"
)

func TestStatus(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	s := status{Accounts: []daemon.AccountStatus{
		{Account: alice, Provider: "google", Flow: "authorization_code", Enabled: true, State: auth.Authorized, Consented: now, Expiry: now.Add(time.Hour)},
		{Account: bob, Provider: "microsoft", Flow: "device_code", Enabled: true, State: auth.NeedsAuthorization, Why: "token endpoint: invalid_grant", Hint: "It was revoked.", How: "run this", Consented: now, Expiry: now.Add(time.Hour)},
		{Account: "off@example.com", Provider: "google", Flow: "authorization_code", State: auth.NeedsAuthorization, Why: "never authorized"},
		{Account: "app@example.com", Provider: "microsoft", Flow: "client_credentials", Enabled: true, State: auth.Failing, Why: "no network"},
		{Account: "job@example.com", Provider: "microsoft", Flow: "client_credentials", Enabled: true, State: auth.Authorized},
	}}
	var out strings.Builder
	must(t, s.write(&out, now))
	want := `ACCOUNT            PROVIDER   FLOW                STATE                TOKEN
alice@example.com  google     authorization_code  authorized           until 13:00 ` + now.Format("MST") + `
bob@example.com    microsoft  device_code         needs authorization  none
off@example.com    google     authorization_code  disabled             none
app@example.com    microsoft  client_credentials  failing              none
job@example.com    microsoft  client_credentials  ready                none

bob@example.com: token endpoint: invalid_grant
  It was revoked.
  run this

app@example.com: no network
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if err := s.fault(); err == nil || err.Error() != "2 of 5 accounts cannot be used" {
		t.Errorf("fault: %v", err)
	}
}

// TestStatusOfPattern has one line for what is well, and one for each that is not.
func TestStatusOfPattern(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	var s status
	for i, name := range strings.Fields("ann bea cat dan eve") {
		a := daemon.AccountStatus{Account: name + "@example.com", Pattern: "*@example.com", Provider: "google", Flow: "command", Enabled: true, State: auth.Authorized}
		switch {
		case name == "bea":
			a.State, a.Why = auth.Failing, "no such mailbox"
		case name == "eve":
			a.Enabled = false
		default:
			a.Refreshed, a.Expiry = now, now.Add(time.Duration(i+1)*time.Hour)
		}
		s.Accounts = append(s.Accounts, a)
	}
	var out strings.Builder
	must(t, s.write(&out, now))
	want := `ACCOUNT                      PROVIDER  FLOW     STATE       TOKEN
*@example.com (3 mailboxes)  google    command  authorized  various
bea@example.com              google    command  failing     none
eve@example.com              google    command  disabled    none

bea@example.com: no such mailbox
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	out.Reset()
	must(t, s.writeJSON(&out))
	if n := strings.Count(out.String(), `"pattern": "*@example.com"`); n != 5 {
		t.Errorf("%d accounts of the pattern in %s", n, &out)
	}
}

// TestStatusFault: an account that cannot be used is worth more words than a
// daemon that does not run, which has been told.
func TestStatusFault(t *testing.T) {
	well := daemon.AccountStatus{Enabled: true, State: auth.Authorized}
	ill := daemon.AccountStatus{Enabled: true, State: auth.Failing}
	for _, test := range []struct {
		name    string
		running bool
		account daemon.AccountStatus
		want    string
	}{
		{"all is well", true, well, ""},
		{"no daemon", false, well, "without a daemon no account can be used"},
		{"a bad account", true, ill, "1 of 1 account cannot be used"},
		{"both", false, ill, "1 of 1 account cannot be used"},
	} {
		s := status{Running: test.running, Accounts: []daemon.AccountStatus{test.account}}
		if err := s.fault(); (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
}

func TestLife(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 0, 0, 0, time.Local)
	zone := now.Format(" MST")
	for _, test := range []struct {
		expiry time.Time
		want   string
	}{
		{time.Time{}, "none"},
		{now, "expired"},
		{now.Add(30 * time.Minute).UTC(), "until 23:30" + zone},
		{now.Add(90 * time.Minute), "until 2026-11-24 00:30" + zone},
	} {
		if got := life(test.expiry, now); got != test.want {
			t.Errorf("%v: %s, want %s", test.expiry, got, test.want)
		}
	}
}

func TestStatusJSON(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		p.run(t, `{"access_token": "x", "refresh_token": "`+p.issue(t, alice)+`"}`, 0, "is authorized", "grant", "import", alice)
		var s struct {
			Running  bool
			Accounts []map[string]any
		}
		must(t, json.Unmarshal([]byte(p.run(t, "", p.well(), "", "status", "--json")), &s))
		if s.Running != p.served || len(s.Accounts) != 1 || s.Accounts[0]["state"] != "authorized" || s.Accounts[0]["expiry"] == nil {
			t.Errorf("status: %+v", s)
		}
	})
}
