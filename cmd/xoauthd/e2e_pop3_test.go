package main_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pop3Readers fetch messages without deleting them.
func pop3Readers() []client {
	return []client{
		{"curl to POP3", curlFetch, 67},
		{"mpop", mpopRead, 77}, // EX_NOPERM
		{"poplib", poplibRead, 1},
	}
}

// curlFetch lists the messages and fetches each.
func curlFetch(t *testing.T, d *daemon, _ string) result {
	fetch := func(path string) result {
		return d.curl(t, command{}, d.url("pop3")+"/"+path)
	}
	list := fetch("")
	if list.status != 0 {
		return list
	}
	var lines strings.Builder
	for i := range strings.Count(list.stdout, "\n") {
		r := fetch(strconv.Itoa(i + 1))
		if r.status != 0 {
			return r
		}
		fmt.Fprintln(&lines, base64.StdEncoding.EncodeToString([]byte(r.stdout)))
	}
	return result{stdout: lines.String()}
}

// mpopRead copies the inbox into a Maildir, with LF line ends.
func mpopRead(t *testing.T, d *daemon, _ string) result {
	folder, err := os.MkdirTemp(d.dir, "mpop-")
	must(t, err)
	for _, name := range []string{"cur", "new", "tmp"} {
		must(t, os.Mkdir(filepath.Join(folder, name), 0o700))
	}
	file := filepath.Join(folder, "mpoprc")
	d.write(t, "mpoprc", file, 0o600, map[string]any{
		"Port": d.pop3, "User": d.user, "PasswordFile": d.passwordFile(), "Folder": folder,
		"Way": d.way, "CA": d.path("ca.pem"),
	})
	// Only this option shows the server's replies.
	r := d.try(t, command{}, "mpop", "--debug", "-C", file)
	if r.status == 0 {
		r.stdout = maildir(t, folder)
	}
	return r
}

func poplibRead(t *testing.T, d *daemon, _ string) result {
	return d.python(t, command{}, "pop3.py", d.pop3)
}
