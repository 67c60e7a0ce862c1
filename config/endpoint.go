package config

import (
	"cmp"
	"strings"
)

// An Endpoint is an address that xoauthd listens on, with the users that may connect.
type Endpoint struct {
	// Address is host:port or unix:PATH. It is empty if Systemd is set. The host localhost
	// stands for 127.0.0.1 and [::1].
	Address string

	// Systemd is the FileDescriptorName= of sockets passed by systemd. If it is empty,
	// systemd may still pass the sockets of Address.
	Systemd string

	// LocalOnly is set if the sockets named by Systemd must be reachable only from this
	// machine. It says why, and what to do instead. For Address, Load has checked this.
	LocalOnly string

	Socket Socket // for an address unix:PATH

	// LocalUsers are the ids of the local users whose programs may connect; empty: all
	// clients.
	LocalUsers []uint32
}

// endpoint reads the keys of an endpoint. port is for the example in a fault.
func (t *table) endpoint(port string) (Endpoint, binding) {
	var b binding
	if name := t.systemdName(); t.has("systemd") {
		b = t.systemdBinding(name)
	} else {
		t.require("address", `write for example address = "localhost:`+port+`"`)
		b = t.addressBinding()
	}
	e := Endpoint{Address: b.address, Systemd: b.systemd, Socket: t.socket(b), LocalUsers: t.localUsers()}
	if len(e.LocalUsers) > 0 && !t.has("proxy_protocol") {
		t.requireLocal(&e, b, "local_users", "xoauthd cannot identify their users", "use 127.0.0.1, [::1], localhost or unix:PATH, or remove this line")
	}
	return e, b
}

// systemdName reads the name of a socket of systemd, which is a FileDescriptorName=
// (systemd.socket(5)).
func (t *table) systemdName() string {
	name := t.text("systemd", "")
	if strings.Contains(name, ":") {
		t.fault("systemd", `%q is not the FileDescriptorName= of a socket unit, because it contains a colon; write for example systemd = "imap"`, name)
	}
	return name
}

// systemdBinding returns the binding for a socket of systemd. The socket unit sets its
// address, owner and mode, so the keys for them are faults.
func (t *table) systemdBinding(name string) binding {
	t.text("address", "")
	for _, key := range t.present("address", "socket_user", "socket_group", "socket_mode") {
		t.fault(key, "the systemd socket unit sets this; remove this line, or the key systemd")
	}
	if name == "" {
		return binding{} // already reported
	}
	return binding{line: t.line("systemd"), systemd: name}
}

// requireLocal reports a fault for key if other machines can reach the endpoint. For a
// socket of systemd, it sets LocalOnly, so that the daemon checks the address.
func (t *table) requireLocal(e *Endpoint, b binding, key, harm, hint string) {
	switch {
	case b.systemd != "":
		e.LocalOnly = cmp.Or(e.LocalOnly, harm+"; "+hint)
	case !b.isLocal():
		t.fault(key, "%s can be reached from other machines, and %s; %s", b.address, harm, hint)
	}
}
