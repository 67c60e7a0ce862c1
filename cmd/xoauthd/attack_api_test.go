package main

import (
	"os"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/internal/api"
)

// TestAttackAPI has another user of the machine send requests to the admin API: with the
// modes of an installation, and after somebody has opened the directory and the socket.
func TestAttackAPI(t *testing.T) {
	t.Parallel()
	d := newTarget(t, nil)
	socket := api.SocketPath(d.state)
	request := func(user string) string {
		out, _ := d.as(t, user, "get", "unix", socket, "xoauthd", "/v1/accounts", "").CombinedOutput()
		return string(out)
	}
	if said := request(daemonUser); !strings.HasPrefix(said, `200 {"accounts":[{"account":"`+targetAccount+`"`) {
		t.Errorf("the daemon's user: %s", said)
	}
	if said := request(attackerUser); !strings.Contains(said, "permission denied") {
		t.Errorf("the attacker: %s", said)
	}
	must(t, os.Chmod(d.state, 0o755))
	must(t, os.Chmod(socket, 0o666))
	if said := request(attackerUser); !strings.HasPrefix(said, `403 {"error":"user `) || strings.Contains(said, targetAccount) {
		t.Errorf("the attacker, after the modes were opened: %s", said)
	}
	d.waitFor(t, "the log line", func() bool { return strings.Contains(d.log.String(), `level=WARN msg="request refused"`) })
}
