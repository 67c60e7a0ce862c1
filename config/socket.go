package config

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// A Socket is how the file of a unix socket is to be.
type Socket struct {
	UID, GID int         // -1: as made
	Mode     fs.FileMode // permissions
}

// socket reads how the socket of a listener is to be, if it is one.
func (t *table) socket(at binding) Socket {
	s := Socket{UID: -1, GID: -1, Mode: t.socketMode()}
	if name := t.text("socket_user", ""); name != "" {
		id, err := userID(name)
		if err != nil {
			t.outside("socket_user", "%v", err)
		}
		s.UID = int(id)
	}
	if name := t.text("socket_group", ""); name != "" {
		id, err := groupID(name)
		if err != nil {
			t.outside("socket_group", "%v", err)
		}
		s.GID = int(id)
	}
	if at.systemd != "" {
		return Socket{} // told already
	}
	if at.socket != "" || at.address == "" {
		return s
	}
	for _, key := range t.given("socket_user", "socket_group", "socket_mode") {
		t.fault(key, "means nothing at %s, which is no unix socket", at.address)
	}
	return Socket{}
}

// socketMode reads permissions. The default is for a user and a group.
func (t *table) socketMode() fs.FileMode {
	s := t.text("socket_mode", "0660")
	mode, err := strconv.ParseUint(s, 8, 32)
	switch {
	case err != nil || mode > 0o777:
		t.fault("socket_mode", `%q is not a mode; write for example "0660"`, s)
	case mode&0o222 == 0:
		t.fault("socket_mode", "%s lets nobody connect, for that takes the right to write", s)
	}
	return fs.FileMode(mode)
}

// localUsers reads whose programs may connect.
func (t *table) localUsers() (ids []uint32) {
	for i, name := range t.texts("local_users", nil) {
		if oneLine(name) != nil {
			continue // told already
		}
		id, err := userID(name)
		if err != nil {
			t.file.outside(t.place.key("local_users").item(i).at(), "local_users: %v", err)
		}
		ids = append(ids, id)
	}
	return ids
}

// userID returns the id of a user, who can also be named by it.
func userID(name string) (uint32, error) {
	text := name
	if u, err := user.Lookup(name); err == nil {
		text = u.Uid
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no user %q in /etc/passwd; write the id of one who is kept elsewhere", name)
	}
	return uint32(id), nil
}

func groupID(name string) (uint32, error) {
	text := name
	if g, err := user.LookupGroup(name); err == nil {
		text = g.Gid
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("there is no group %q in /etc/group; write the id of one that is kept elsewhere", name)
	}
	return uint32(id), nil
}
