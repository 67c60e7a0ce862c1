package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
	"github.com/xoauthd/xoauthd/internal/testing/mailhost"
	"github.com/xoauthd/xoauthd/internal/text"
)

const (
	alice    = "alice@example.com"
	bob      = "bob@example.com"
	redirect = "http://localhost:1/callback" // nobody is there
)

// A place is a configuration of xoauthd, with an identity provider and a mail server.
type place struct {
	idp         *idp.Server
	issuer      string
	file, state string
	served      bool         // by a daemon
	ignoring    atomic.Bool  // the mail server does not look at the user name
	revoked     atomic.Int32 // times that the provider was asked to revoke a grant
}

// newPlace returns a place without a daemon.
func newPlace(t *testing.T) *place {
	t.Helper()
	p := new(place)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == idp.RevokePath {
			p.revoked.Add(1)
		}
		p.idp.ServeHTTP(w, r)
	}))
	p.issuer = "http://" + web.Listener.Addr().String()
	var err error
	p.idp, err = idp.New(idp.Config{Issuer: p.issuer, ClientID: "xoauthd", RedirectURLs: []string{redirect}, Users: []string{alice, bob}})
	must(t, err)
	web.Start()
	t.Cleanup(web.Close)

	authority, err := ca.New()
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	host := mailhost.New(mailhost.Config{Certificate: certificate, Check: p.opens, Mailboxes: []string{alice, bob}})
	imap, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go host.ServeIMAP(imap)
	t.Cleanup(func() { host.Close() })

	folder := t.TempDir()
	p.file, p.state = filepath.Join(folder, "xoauthd.toml"), filepath.Join(folder, "state")
	must(t, os.Mkdir(p.state, 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "ca.pem"), authority.PEM(), 0o600))
	must(t, os.WriteFile(p.file, fmt.Appendf(nil, `state_directory = "state"

[[listener]]
protocol = "imap"
address  = "127.0.0.1:0"

[provider.mine]
client_id         = "xoauthd"
authorization_url = "%[1]s/authorize"
token_url         = "%[1]s/token"
revocation_url    = "%[1]s/revoke"
redirect_url      = "%[2]s"
issuer            = "%[1]s"
scopes            = ["mail", "offline_access"]
ca_file           = "ca.pem"
imap = { host = "localhost", port = %[3]d }

[account."Alice@example.com"]
provider      = "mine"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$pBRIGepKUqjL4LDI51z58w$s+AX+0UaxFBX6QsnhggUN5hqg67TepmNhl0tpWvvZ88"
`, p.issuer, redirect, imap.Addr().(*net.TCPAddr).Port), 0o600))
	return p
}

// opens returns the mailbox that a token opens. That is alice's if the mail server ignores
// the user name.
func (p *place) opens(token string) (mailbox string, ok bool) {
	mailbox, ok = p.idp.User(token)
	if p.ignoring.Load() {
		mailbox = alice
	}
	return mailbox, ok
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs a daemon until the test ends.
func (p *place) serve(t *testing.T) {
	t.Helper()
	p.served = true
	c, err := config.Load(p.file)
	must(t, err)
	d, err := daemon.New(c, slog.New(slog.DiscardHandler))
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// well returns the exit status of status if no account needs attention.
func (p *place) well() int {
	if p.served {
		return 0
	}
	return 1
}

// run runs a command, and checks its exit status. Its output must contain each line of want,
// in their order.
func (p *place) run(t *testing.T, stdin string, status int, want string, args ...string) (stdout string) {
	t.Helper()
	var out, errs bytes.Buffer
	got := run(t.Context(), append(args, "--config", p.file), strings.NewReader(stdin), &out, &errs)
	if got != status {
		t.Errorf("xoauthd %v: exit status %d, want %d", args, got, status)
	}
	rest := out.String() + errs.String()
	for part := range strings.Lines(want) {
		_, after, found := strings.Cut(rest, strings.TrimSpace(part))
		if !found {
			t.Errorf("xoauthd %v does not say %s\nstdout:\n%s\nstderr:\n%s", args, strings.TrimSpace(part), &out, &errs)
		}
		rest = after
	}
	return out.String()
}

// everywhere runs a test with a daemon and without.
func everywhere(t *testing.T, f func(t *testing.T, p *place)) {
	t.Run("with a daemon", func(t *testing.T) {
		p := newPlace(t)
		p.serve(t)
		f(t, p)
	})
	t.Run("without", func(t *testing.T) { f(t, newPlace(t)) })
}

// TestLocked: a command does not do the work itself while another process has the store.
func TestLocked(t *testing.T) {
	p := newPlace(t)
	store, err := store.Open(p.state, store.Encryption{})
	must(t, err)
	defer store.Close()
	p.run(t, "", 1, "another xoauthd uses "+p.state+" and does not answer commands: it is starting or stopping", "status")
}

// TestAsOwner: the command line is quoted for a shell.
func TestAsOwner(t *testing.T) {
	cmd := new(cobra.Command)
	cmd.SetContext(context.WithValue(t.Context(), argsKey{}, []string{"revoke", "--yes", "-c", "it's here.toml", "alice smith@example.com"}))
	const want = `sudo -u xoauthd xoauthd revoke --yes -c 'it'\''s here.toml' 'alice smith@example.com'`
	if got := asOwner(cmd, filepath.Join(t.TempDir(), "none")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := text.ShellWord(userName("4000000000")); got != "'#4000000000'" {
		t.Errorf("a user without a name: %s", got)
	}
}

// TestAnotherUser: root creates no files that the daemon could not read.
func TestAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("XOAUTHD_E2E") == "required" {
			t.Fatal("only root can give a folder to another user")
		}
		t.Skip("only root can give a folder to another user")
	}
	p := newPlace(t)
	must(t, os.Chown(p.state, 65534, 65534))
	p.run(t, "", 1, "no daemon runs, and\nis another user's: start the daemon first, or run this as that user: sudo -u nobody xoauthd status", "status")
	p.run(t, "token", 1, "sudo -u nobody xoauthd grant import\n"+alice, "grant", "import", alice)
	if files, err := os.ReadDir(p.state); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
	must(t, os.Remove(p.state))
	p.run(t, "", 1, "no daemon has run yet", "status")
	if _, err := os.Stat(p.state); err == nil {
		t.Error("the folder was made")
	}
}
