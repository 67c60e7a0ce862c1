package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/api"
)

func TestStatus(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	s := status{Accounts: []api.Account{
		{Name: alice, Provider: "google", Flow: "authorization_code", Enabled: true, Status: auth.Status{State: auth.Authorized, Obtained: now, Expiry: now.Add(time.Hour)}},
		{Name: bob, Provider: "microsoft", Flow: "device_code", Enabled: true, How: "run this", Status: auth.Status{State: auth.NeedsAuthorization, Obtained: now, Expiry: now.Add(time.Hour),
			Problems: []auth.Problem{{Text: "token endpoint: invalid_grant", Hint: "It was revoked.", Failing: true}}}},
		{Name: "off@example.com", Provider: "google", Flow: "authorization_code", Status: auth.Status{State: auth.NeedsAuthorization, Problems: []auth.Problem{{Text: "never authorized"}}}},
		{Name: "app@example.com", Provider: "microsoft", Flow: "client_credentials", Enabled: true, Status: auth.Status{State: auth.Failing, Problems: []auth.Problem{
			{Part: auth.PartProvider, Text: "no network", Failing: true, Since: now.Add(-time.Minute), Last: now, Count: 1},
			{Part: "imap", Text: "no network", Failing: true}}}},
		{Name: "job@example.com", Provider: "microsoft", Flow: "client_credentials", Enabled: true, Status: auth.Status{State: auth.Authorized}},
		{Name: "smtp@example.com", Provider: "microsoft", Flow: "authorization_code", Enabled: true, Status: auth.Status{State: auth.Failing, Obtained: now, Expiry: now.Add(time.Hour), Problems: []auth.Problem{
			{Part: "smtp", Text: "upstream refused (SMTP): 535 5.7.139 no", Hint: "Have it enabled.", Failing: true, Since: now.Add(-24 * time.Hour), Last: now.Add(-time.Hour), Count: 25},
			{Part: "imap", Text: "upstream unavailable (IMAP): no route", Since: now, Last: now, Count: 1}}}},
		{Name: "new@example.com", Provider: "google", Flow: "authorization_code", Enabled: true, Status: auth.Status{State: auth.Authorized, Obtained: now, Expiry: now.Add(time.Hour),
			Problems: []auth.Problem{{Part: auth.PartStore, Kind: auth.ProblemUnsaved, Text: "not saved: no space"}}}},
	}}
	var out strings.Builder
	must(t, s.write(&out, now))
	want := `ACCOUNT            PROVIDER   FLOW                STATE                TOKEN
alice@example.com  google     authorization_code  authorized           until 13:00 ZONE
bob@example.com    microsoft  device_code         needs authorization  none
off@example.com    google     authorization_code  disabled             none
app@example.com    microsoft  client_credentials  failing              none
job@example.com    microsoft  client_credentials  ready                none
smtp@example.com   microsoft  authorization_code  failing (SMTP)       until 13:00 ZONE
new@example.com    google     authorization_code  authorized           until 13:00 ZONE

bob@example.com: token endpoint: invalid_grant
  It was revoked.
  run this

app@example.com: no network
  at 12:00 ZONE
app@example.com: no network

smtp@example.com: upstream refused (SMTP): 535 5.7.139 no
  25 times since 2026-11-22 12:00 ZONE, the last at 11:00 ZONE
  Have it enabled.
smtp@example.com: upstream unavailable (IMAP): no route
  at 12:00 ZONE

new@example.com: not saved: no space
`
	want = strings.ReplaceAll(want, "ZONE", now.Format("MST"))
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if err := s.fault(); err == nil || err.Error() != "4 of 7 accounts need attention" {
		t.Errorf("fault: %v", err)
	}
}

// TestStatusOfPattern: mailboxes of a pattern without problems share a row.
func TestStatusOfPattern(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	var s status
	for i, name := range strings.Fields("ann bea cat dan eve") {
		a := api.Account{Name: name + "@example.com", Pattern: "*@example.com", Provider: "google", Flow: "command", Enabled: true, Status: auth.Status{State: auth.Authorized}}
		switch {
		case name == "bea":
			a.State, a.Problems = auth.Failing, []auth.Problem{{Part: auth.PartProvider, Text: "no such mailbox", Failing: true}}
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

// TestStatusFault: the error names accounts that need attention, rather than that no daemon
// runs, which has been printed already.
func TestStatusFault(t *testing.T) {
	well := api.Account{Enabled: true, Status: auth.Status{State: auth.Authorized}}
	ill := api.Account{Enabled: true, Status: auth.Status{State: auth.Failing}}
	for _, test := range []struct {
		name    string
		running bool
		account api.Account
		want    string
	}{
		{"all is well", true, well, ""},
		{"no daemon", false, well, "no daemon runs: no account can be used"},
		{"a bad account", true, ill, "1 of 1 account needs attention"},
		{"both", false, ill, "1 of 1 account needs attention"},
		{"a full disk", true, well, "the disk is full"},
	} {
		s := status{Running: test.running, Accounts: []api.Account{test.account}}
		if test.name == "a full disk" {
			s.Warning = "the disk is full"
		}
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
