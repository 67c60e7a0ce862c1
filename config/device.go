package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Devices are the clients of a listener that sends mail without a login.
type Devices struct {
	Account  string         // sends the mail; empty: the account that MAIL FROM names
	Networks []netip.Prefix // client addresses that may send
	Senders  []string       // patterns of addresses that MAIL FROM may have; empty: all, only with Account

	// RewriteSender replaces MAIL FROM and the header field From by the address of the
	// account, and keeps the original From as Reply-To.
	RewriteSender bool
}

// deviceKeys are the keys of a listener that sends mail without a login.
var deviceKeys = []string{"networks", "senders", "rewrite_sender"}

// devices reads the keys of a listener that sends mail without a login. It returns nil if
// clients must log in.
func (t *table) devices(l *Listener) *Devices {
	account := t.text("account", "")
	bySender := t.boolean("account_by_sender", false)
	d := &Devices{
		Account:       account,
		Networks:      t.networks("networks"),
		Senders:       t.texts("senders", nil),
		RewriteSender: t.boolean("rewrite_sender", false),
	}
	if account == "" && !bySender {
		for _, key := range t.present(deviceKeys...) {
			t.fault(key, "is for devices that cannot log in; set account as well")
		}
		return nil
	}
	switch {
	case account != "" && bySender:
		t.fault("account_by_sender", "is not used with account; remove one of the two keys")
	case bySender && len(d.Senders) == 0:
		t.fault("account_by_sender", `requires senders: every device could send as every account of this file; list the addresses of the accounts for devices, such as senders = ["scanner-*@example.com"]`)
	case l.Protocol != "smtp" && l.Protocol != "":
		t.fault("protocol", "%q requires a login; a listener with account must have the protocol \"smtp\"", l.Protocol)
	}
	for _, key := range t.present("provider", "client_tokens") {
		t.fault(key, "is not used on a listener without a login; remove it")
	}
	if strings.HasPrefix(l.Address, "unix:") {
		t.fault("address", "%s is a unix socket, whose clients have no address that could be in networks; use an address such as 192.0.2.10:25", l.Address)
	}
	if bySender && d.RewriteSender {
		t.fault("rewrite_sender", "is not used with account_by_sender, where MAIL FROM is an account's address already")
	}
	t.deviceNetworks(d)
	t.deviceSenders(d)
	t.file.devices = append(t.file.devices, d)
	return d
}

// deviceNetworks checks that the listener is no open relay.
func (t *table) deviceNetworks(d *Devices) {
	if !t.has("networks") {
		t.file.fault(t.pos.line(), `%s sends mail without a login, so it requires networks: list the addresses of the devices, such as networks = ["192.0.2.0/24"]`, t.header())
	}
	for _, n := range d.Networks {
		if n.Bits() == 0 {
			t.fault("networks", "%s contains all addresses: everyone could send mail as this account; list the addresses of the devices", n)
		}
	}
}

func (t *table) deviceSenders(d *Devices) {
	for i, s := range d.Senders {
		if local, domain, found := strings.Cut(s, "@"); !found || local == "" || domain == "" || strings.ContainsAny(domain, "*@") {
			t.file.fault(t.pos.key("senders").item(i).line(), `senders: %q is neither an address nor a pattern such as "*@example.com"`, s)
		}
	}
}

// SendsAs reports whether the devices may send as the account with this name.
func (d *Devices) SendsAs(account string) bool {
	if d.Account != "" {
		return d.Account == account
	}
	return slices.ContainsFunc(d.Senders, func(pattern string) bool {
		expression := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
		return regexp.MustCompile("(?is)^" + expression + "$").MatchString(account)
	})
}

// isDeviceAccount reports whether a listener sends mail of the account without a login, so
// that it needs no password.
func (f *file) isDeviceAccount(name string) bool {
	return slices.ContainsFunc(f.devices, func(d *Devices) bool { return d.SendsAs(name) })
}

// checkDevices checks the account of a listener that sends mail without a login.
func (f *file) checkDevices(l Listener, c *Config) {
	name := l.Devices.Account
	if name == "" {
		return
	}
	a := c.Accounts[name]
	switch {
	case a == nil:
		f.fault(l.Line, "[[listener]]: there is no account %q; add [%s]", name, toml.Key{"account", name})
	case !a.Enabled:
		f.fault(l.Line, "[[listener]]: the account %q is disabled, so no mail could be sent", name)
	case c.Providers[a.Provider] != nil && c.Providers[a.Provider].Upstream("smtp") == nil:
		f.fault(l.Line, "[[listener]]: the provider %q of the account %q has no server for smtp, and no smtp_api", a.Provider, name)
	}
}
