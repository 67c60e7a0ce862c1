package config

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// A Socket holds the owner and mode of the file of a unix socket.
type Socket struct {
	UID, GID int         // -1: unchanged
	Mode     fs.FileMode // permission bits
}

// socket reads the owner and mode of a unix socket, if b is one.
func (t *table) socket(b binding) Socket {
	s := Socket{UID: -1, GID: -1, Mode: t.socketMode()}
	if name := t.text("socket_user", ""); name != "" {
		id, err := userID(name)
		if err != nil {
			t.externalFault("socket_user", "%v", err)
		}
		s.UID = int(id)
	}
	if name := t.text("socket_group", ""); name != "" {
		id, err := groupID(name)
		if err != nil {
			t.externalFault("socket_group", "%v", err)
		}
		s.GID = int(id)
	}
	if b.systemd != "" {
		return Socket{} // already reported
	}
	if b.socket != "" || b.address == "" {
		return s
	}
	for _, key := range t.present("socket_user", "socket_group", "socket_mode") {
		t.fault(key, "is not used with %s, which is not a unix socket", b.address)
	}
	return Socket{}
}

// socketMode reads permission bits. The default admits the owner and the group.
func (t *table) socketMode() fs.FileMode {
	s := t.text("socket_mode", "0660")
	mode, err := strconv.ParseUint(s, 8, 32)
	switch {
	case err != nil || mode > 0o777:
		t.fault("socket_mode", `%q is not a mode; write for example "0660"`, s)
	case mode&0o222 == 0:
		t.fault("socket_mode", "%s lets no client connect, which requires write permission", s)
	}
	return fs.FileMode(mode)
}

// localUsers reads the ids of the local users whose programs may connect.
func (t *table) localUsers() (ids []uint32) {
	for i, name := range t.texts("local_users", nil) {
		if checkLine(name) != nil {
			continue // already reported
		}
		id, err := userID(name)
		if err != nil {
			t.file.externalFault(t.pos.key("local_users").item(i).line(), "local_users: %v", err)
		}
		ids = append(ids, id)
	}
	return ids
}

// userID returns the id of a user, given by name or by id.
func userID(name string) (uint32, error) {
	text := name
	if u, err := user.Lookup(name); err == nil {
		text = u.Uid
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("no user %q in /etc/passwd; write the numeric id of a user from another source", name)
	}
	return uint32(id), nil
}

// groupID returns the id of a group, given by name or by id.
func groupID(name string) (uint32, error) {
	text := name
	if g, err := user.LookupGroup(name); err == nil {
		text = g.Gid
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("no group %q in /etc/group; write the numeric id of a group from another source", name)
	}
	return uint32(id), nil
}
