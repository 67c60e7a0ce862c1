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
func (t *table) socket(at endpoint) Socket {
	s := Socket{UID: -1, GID: -1, Mode: t.socketMode()}
	if name := t.text("socket_user", ""); name != "" {
		s.UID = int(t.id(t.line("socket_user"), "socket_user", name, userID))
	}
	if name := t.text("socket_group", ""); name != "" {
		s.GID = int(t.id(t.line("socket_group"), "socket_group", name, groupID))
	}
	if at.socket != "" || at.address == "" {
		return s
	}
	for _, key := range t.given("socket_user", "socket_group", "socket_mode") {
		t.fault(key, "means nothing at %s, which is no unix socket", at.address)
	}
	return Socket{}
}

// socketMode reads permissions. By default, those whose login the socket is for
// are in a group.
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
		if oneLine(name) == nil { // else it has been told
			ids = append(ids, t.id(t.place.key("local_users").item(i).at(), "local_users", name, userID))
		}
	}
	return ids
}

// id returns the id of a name, which may be one.
func (t *table) id(line int, key, name string, lookUp func(string) (string, error)) uint32 {
	id, err := strconv.ParseUint(name, 10, 32)
	if err == nil {
		return uint32(id)
	}
	found, err := lookUp(name)
	if err != nil {
		t.file.fault(line, "%s: %v", key, err)
		return 0
	}
	id, err = strconv.ParseUint(found, 10, 32)
	if err != nil {
		t.file.fault(line, "%s: the id of %q is no number", key, name)
	}
	return uint32(id)
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", fmt.Errorf("there is no user %q in /etc/passwd; write the id of one who is kept elsewhere", name)
	}
	return u.Uid, nil
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", fmt.Errorf("there is no group %q in /etc/group; write the id of one that is kept elsewhere", name)
	}
	return g.Gid, nil
}
