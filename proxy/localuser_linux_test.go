package proxy

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/proxy/peercred"
)

// Programs of other users do not receive a greeting, and no reply if they may wait for TLS.
func TestLocalUsers(t *testing.T) {
	me := uint32(os.Getuid())
	for _, test := range []struct {
		name  string
		users []uint32
		mode  TLSMode
		hears string
		log   string
	}{
		{"listed", []uint32{me + 1, me}, StartTLS, "* OK ", "local_user=" + peercred.UserName(me) + " result=no_login "},
		{"not listed", []uint32{me + 1}, StartTLS, "* BYE [NOPERM] access denied\r\n", `local_user=` + peercred.UserName(me) + ` result=forbidden error="user ` + peercred.UserName(me) + ` is not in local_users"`},
		{"not listed, and may wait for TLS", []uint32{me + 1}, AnyTLS, "", "local_user=" + peercred.UserName(me) + " result=forbidden"},
	} {
		ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		client, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ours, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l := &Listener{Protocol: "imap", LocalUsers: test.users, TLSMode: test.mode}
		if test.mode != StartTLS {
			l.TLS, _ = serverTLS(t)
		}
		s, log := newTestServer(&scriptedAccount{})
		s.Log = debugLog(log)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.accept(t.Context(), t.Context(), ours, l, s.Limits.Sessions)()
		}()
		line, err := bufio.NewReader(client).ReadString('\n')
		if !strings.HasPrefix(line, test.hears) || (err == nil) != (test.hears != "") || err != nil && err != io.EOF {
			t.Errorf("%s: %q, %v", test.name, line, err)
		}
		client.Close()
		<-done
		if !strings.Contains(log.String(), "client=unix "+test.log) {
			t.Errorf("%s: %s", test.name, log)
		}
	}
}
