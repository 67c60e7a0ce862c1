package config

import (
	"cmp"
	"strings"
)

// An Endpoint is where xoauthd listens, and who may connect there.
type Endpoint struct {
	// Address is host:port or unix:PATH, and empty where Systemd is not. The host
	// localhost stands for 127.0.0.1 and [::1].
	Address string

	// Systemd is the FileDescriptorName= of the sockets that systemd hands over. Where
	// it is empty, systemd may hand over the sockets of Address, too.
	Systemd string

	// LocalOnly says why the sockets that Systemd names must not be reached from other
	// machines, and what else to do. It is empty where they may be. An Address has been
	// checked.
	LocalOnly string

	Socket Socket // of an address unix:PATH

	// LocalUsers are the ids of the users of this machine whose programs alone may
	// connect; empty: all.
	LocalUsers []uint32
}

// endpoint reads where xoauthd listens. The port is for an example.
func (t *table) endpoint(port string) (Endpoint, binding) {
	var at binding
	if name := t.systemdName(); t.has("systemd") {
		at = t.bySystemd(name)
	} else {
		t.require("address", `write for example address = "localhost:`+port+`"`)
		at = t.listensAt()
	}
	e := Endpoint{Address: at.address, Systemd: at.systemd, Socket: t.socket(at), LocalUsers: t.localUsers()}
	if len(e.LocalUsers) > 0 && !t.has("proxy_protocol") {
		t.keepLocal(&e, at, "local_users", "their users are unknown", "use 127.0.0.1, [::1], localhost or unix:PATH, or take this line away")
	}
	return e, at
}

// systemdName reads the name of a socket of systemd, whose characters
// FileDescriptorName= of systemd.socket(5) bounds.
func (t *table) systemdName() string {
	name := t.text("systemd", "")
	if strings.Contains(name, ":") {
		t.fault("systemd", `%q is not the FileDescriptorName= of a socket unit, which has no colon; write for example systemd = "imap"`, name)
	}
	return name
}

// bySystemd returns the binding of a socket that has an address, owner and mode by
// its unit.
func (t *table) bySystemd(name string) binding {
	t.text("address", "")
	for _, key := range t.given("address", "socket_user", "socket_group", "socket_mode") {
		t.fault(key, "the socket unit of systemd sets this: take this line away, or the line with systemd")
	}
	if name == "" {
		return binding{} // told already
	}
	return binding{line: t.line("systemd"), systemd: name}
}

// keepLocal has only this machine reach an endpoint. Where other machines can, key
// is a fault; the sockets of systemd are looked at when they are there.
func (t *table) keepLocal(e *Endpoint, at binding, key, harm, remedy string) {
	switch {
	case at.systemd != "":
		e.LocalOnly = cmp.Or(e.LocalOnly, harm+"; "+remedy)
	case !at.isLocal():
		t.fault(key, "%s can be reached from other machines, and %s; %s", at.address, harm, remedy)
	}
}
