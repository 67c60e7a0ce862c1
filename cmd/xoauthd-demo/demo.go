package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/testing/idp"
)

// The mailboxes at the provider. Only alice's is an account of xoauthd. Bob is a
// recipient, and a wrong choice on the consent page.
const (
	alice         = "alice@example.com"
	bob           = "bob@example.com"
	localPassword = "demo" // alice's at xoauthd
)

type options struct {
	authorized bool
	level      string
}

// demonstrate runs the provider and the daemon until ctx is done.
func demonstrate(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "xoauthd-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	// Between finding a port and opening it, another program may take it.
	const attempts = 3
	for range attempts {
		err = start(ctx, o, folder, stdout, stderr)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return err
}

// start chooses free ports, and starts the provider and the daemon on them.
func start(ctx context.Context, o options, folder string, stdout, stderr io.Writer) error {
	p, err := newPlaces()
	if err != nil {
		return err
	}
	provider, err := startProvider(p)
	if err != nil {
		return err
	}
	defer provider.stop()
	file, err := writeConfig(folder, o, p, provider)
	if err != nil {
		return err
	}
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	if o.authorized {
		if err := authorize(c.StateDirectory, provider); err != nil {
			return err
		}
	}
	d, err := daemon.New(c, daemon.NewLog(c.Log, stderr))
	if err != nil {
		return err
	}
	if err := introduction.Execute(stdout, struct {
		places
		Account, Bob, Password, File, Link string
		Authorized                         bool
	}{*p, alice, bob, localPassword, file, daemon.Link(c.Web, alice), o.authorized}); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Run(ctx)
}

// authorize stores a grant, as if alice had just consented.
func authorize(state string, p *provider) error {
	access, refresh, expiry, err := p.idp.Issue(alice)
	if err != nil {
		return err
	}
	store, err := store.Open(state, store.Encryption{})
	if err != nil {
		return err
	}
	grant := oauth.Grant{AccessToken: access, RefreshToken: refresh, Expiry: expiry, Obtained: time.Now()}
	return errors.Join(store.Save(alice, grant), store.Close())
}

// writeConfig writes the configuration of the daemon, as a sysadmin would.
func writeConfig(folder string, o options, p *places, provider *provider) (file string, err error) {
	hash, err := password.Hash(localPassword)
	if err != nil {
		return "", err
	}
	file = filepath.Join(folder, "xoauthd.toml")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	err = configuration.Execute(f, struct {
		places
		Folder, Level, Account, Hash         string
		ClientID, ClientSecret, Issuer       string
		AuthorizePath, TokenPath, RevokePath string
	}{
		*p,
		folder, o.level, alice, hash,
		clientID, provider.secret, "http://" + p.IDP,
		idp.AuthorizePath, idp.TokenPath, idp.RevokePath,
	})
	ca := os.WriteFile(filepath.Join(folder, "ca.pem"), provider.ca.PEM(), 0o600)
	return file, errors.Join(err, f.Close(), ca)
}

var configuration = template.Must(template.New("").Parse(`# The configuration of the demo's xoauthd.
state_directory = "{{.Folder}}/state"

[[listener]]
protocol = "imap"
address  = "{{.IMAP}}"

[[listener]]
protocol = "smtp"
address  = "{{.SMTP}}"

[web]
address = "{{.Web}}"

[metrics]
address = "{{.Metrics}}"

[log]
level = "{{.Level}}"

[provider.demo]
client_id         = "{{.ClientID}}"
client_secret     = "{{.ClientSecret}}"
authorization_url = "{{.Issuer}}{{.AuthorizePath}}"
token_url         = "{{.Issuer}}{{.TokenPath}}"
revocation_url    = "{{.Issuer}}{{.RevokePath}}"
issuer            = "{{.Issuer}}"
scopes            = ["mail", "offline_access"]
ca_file           = "ca.pem"
imap = { host = "127.0.0.1", port = {{.UpstreamIMAP}}, tls = "implicit" }
smtp = { host = "127.0.0.1", port = {{.UpstreamSMTP}}, tls = "starttls" }

[account."{{.Account}}"]
provider      = "demo"
password_hash = "{{.Hash}}"
`))

var introduction = template.Must(template.New("").Parse(`This demo runs a mail provider that accepts only OAuth 2.0, and xoauthd in front of it,
on this machine. A program logs in to xoauthd as {{.Account}} with the password
"{{.Password}}". Try in another terminal:
{{if not .Authorized}}
0. Run the commands below. They fail, with the reason and the remedy.

1. Authorize the account in a browser:

     {{.Link}}
{{end}}
{{if .Authorized}}1{{else}}2{{end}}. Send a message with the password:

     printf 'From: {{.Account}}\nTo: {{.Account}}\nSubject: Hello\n\nIt works.\n' |
     curl -v --crlf --url smtp://{{.SMTP}} --user {{.Account}}:{{.Password}} \
       --mail-from {{.Account}} --mail-rcpt {{.Account}} --upload-file -

{{if .Authorized}}2{{else}}3{{end}}. Read the message:

     curl -v --url 'imap://{{.IMAP}}/INBOX;MAILINDEX=*' --user {{.Account}}:{{.Password}}

{{if .Authorized}}3{{else}}4{{end}}. Show the state of the account, check every step, and revoke the grant (in the
   folder of the source):

     go run ./cmd/xoauthd -c {{.File}} status
     go run ./cmd/xoauthd -c {{.File}} check {{.Account}}
     go run ./cmd/xoauthd -c {{.File}} revoke {{.Account}}

Metrics: http://{{.Metrics}}/metrics.

Ctrl-C ends the demo and removes its files. The log of xoauthd:

`))
