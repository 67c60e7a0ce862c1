package config

import "testing"

func TestNetwork(t *testing.T) {
	const neither = " is neither an IP address nor a network, such as 192.0.2.7 or 192.0.2.0/24"
	for _, row := range []struct{ text, network, fault string }{
		{"192.0.2.7", "192.0.2.7/32", ""},
		{"::ffff:192.0.2.7", "192.0.2.7/32", ""},
		{"2001:db8::7", "2001:db8::7/128", ""},
		{"192.0.2.0/24", "192.0.2.0/24", ""},
		{"2001:DB8::/32", "2001:db8::/32", ""},
		{"0.0.0.0/0", "0.0.0.0/0", ""},

		{"192.0.2.7/24", "", "192.0.2.7/24 is an address within a network; write 192.0.2.0/24 for the network, or 192.0.2.7 for the single address"},
		{"::ffff:192.0.2.0/120", "", "::ffff:192.0.2.0/120 is an IPv4 network in IPv6 notation; write the IPv4 network, such as 192.0.2.0/24"},
		{"192.0.2.0/33", "", `"192.0.2.0/33"` + neither},
		{"192.0.2.0/255.255.255.0", "", `"192.0.2.0/255.255.255.0"` + neither},
		{"192.0.2", "", `"192.0.2"` + neither},
		{"fe80::1%eth0", "", `"fe80::1%eth0"` + neither},
		{"scanner.example.com", "", `"scanner.example.com"` + neither},
	} {
		n, err := parseNetwork(row.text)
		switch {
		case row.fault != "" && (err == nil || err.Error() != row.fault):
			t.Errorf("%s: %v, want %s", row.text, err, row.fault)
		case row.fault == "" && (err != nil || n.String() != row.network):
			t.Errorf("%s: %v, %v, want %s", row.text, n, err, row.network)
		}
	}
}
