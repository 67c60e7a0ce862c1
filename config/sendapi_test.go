package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// TestSendAPI checks the scopes of providers that send through an API: a person consents
// to no more than the listeners need, and Graph has a token of its own beside Outlook's.
func TestSendAPI(t *testing.T) {
	t.Chdir(copyTestdata(t))
	c := load(t, "good/sendapi.toml")
	const graph, gov = "https://graph.microsoft.com/Mail.Send", "https://graph.microsoft.us/.default"
	for name, want := range map[string]struct{ host, mail, api, unlisted string }{
		"sending":  {"graph.microsoft.com", graph + " offline_access openid profile email", "", "reject"},
		"reading":  {"graph.microsoft.com", scopeIMAP + " offline_access openid profile email", graph, "remove"},
		"app-only": {"graph.microsoft.us", gov, "", "reject"},
		"gmail":    {"gmail.googleapis.com", scopeGmailSend + " openid email", "", "reject"},
		"own":      {"mail.example.com", "mail", "send", "send"},
	} {
		p := c.Providers[name]
		got := struct{ host, mail, api, unlisted string }{
			p.SMTP.Host, strings.Join(p.Scopes, " "), strings.Join(p.SMTPAPI.Scopes, " "), p.SMTPAPI.UnlistedRecipients}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if n := c.Providers["sending"].MessagesPerMinute; n != 10 {
		t.Errorf("%d messages a minute", n)
	}
}

func TestDevices(t *testing.T) {
	t.Chdir(copyTestdata(t))
	l := load(t, "good/sendapi.toml").Listeners[0]
	want := &Devices{
		Account:       "scanner@example.com",
		Networks:      []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Senders:       []string{"*@example.com"},
		RewriteSender: true,
	}
	if !reflect.DeepEqual(l.Devices, want) || l.TLS != "none" || l.RequireTLS {
		t.Errorf("%+v, %+v", l.Devices, l)
	}
}

// TestDeviceSendsAs checks which accounts need no password.
func TestDeviceSendsAs(t *testing.T) {
	for _, test := range []struct {
		devices Devices
		account string
		want    bool
	}{
		{Devices{Account: "a@example.com"}, "a@example.com", true},
		{Devices{Account: "a@example.com", Senders: []string{"*@example.com"}}, "b@example.com", false},
		{Devices{Senders: []string{"b@example.com", "scan-*@example.com"}}, "Scan-1@Example.com", true},
		{Devices{Senders: []string{"scan-*@example.com"}}, "boss@example.com", false},
		{Devices{Senders: []string{"*@example.com"}}, "a@example.com.evil.example", false},
		{Devices{Senders: []string{"*@example.com"}}, "a@examplescom", false},
		{Devices{}, "a@example.com", false},
	} {
		if got := test.devices.SendsAs(test.account); got != test.want {
			t.Errorf("%+v sends as %s: %v", test.devices, test.account, got)
		}
	}
}
