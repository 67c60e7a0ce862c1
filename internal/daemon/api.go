package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/step"
)

// openAPI returns an endpoint with the admin API. At the shutdown, requests have lastRequest
// for what must be finished.
func (d *Daemon) openAPI() (*endpoint, error) {
	ln, err := openSocket(api.SocketPath(d.config.StateDirectory), config.Socket{UID: -1, GID: -1, Mode: 0o600})
	if err != nil {
		return nil, fmt.Errorf("socket for commands in state_directory: %w", err)
	}
	e := newEndpoint([]net.Listener{ln}, d.log)
	server := &api.Server{
		Backend:  &backend{d, e.late},
		Version:  Version(),
		Log:      d.log,
		Stopping: e.stopping,
		User:     d.user,
	}
	e.handle(server.Handler())
	return e, nil
}

// user returns the user who sent a request to the API. Where the system does not know users,
// that is the daemon's own. (With PrivateUsers=yes, systemd keeps the numbers of that user
// and root.)
func (d *Daemon) user(r *http.Request) (api.User, error) {
	uid, err := d.proxy.Peers.UID(r.Context().Value(connKey{}).(net.Conn))
	if errors.Is(err, errors.ErrUnsupported) {
		return api.User(os.Geteuid()), nil
	}
	return api.User(uid), err
}

// ServeAPI serves only the API, for a command that does the work itself. The caller must call
// stop, which waits for requests in progress and closes d.
func (d *Daemon) ServeAPI() (stop func() error, err error) {
	e, err := d.openAPI()
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.serve(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-ended, d.Close())
	}, nil
}

// A backend implements api.Backend.
type backend struct {
	daemon *Daemon
	late   context.Context // done when the deadline of the shutdown has passed
}

// page returns the account with a name.
func (b *backend) page(name string) (*page, error) {
	for _, a := range b.daemon.accounts.list() {
		if strings.EqualFold(a.Name(), name) {
			return b.pageOf(a), nil
		}
	}
	return nil, &api.Error{Status: http.StatusNotFound, What: fmt.Sprintf("the daemon has no account %q", name), Hint: "If the account is new in the configuration, restart the daemon."}
}

func (b *backend) pageOf(a *auth.Account) *page {
	return &page{account: b.daemon.accounts.byName[a.Name()], daemon: b.daemon, stopping: b.late, late: b.late}
}

// interactive returns the account with a name, if a person can authorize it.
func (b *backend) interactive(name string) (*page, error) {
	p, err := b.page(name)
	if err != nil {
		return nil, err
	}
	return p, CanAuthorize(p.provider.config, p.config)
}

// CanAuthorize returns an error if no person can authorize the account of a provider.
func CanAuthorize(p *config.Provider, a *config.Account) error {
	switch {
	case !p.Flow.NeedsConsent():
		return &api.Error{Status: http.StatusConflict, What: fmt.Sprintf("account %q needs no authorization", a.Name),
			Why: fmt.Sprintf("the flow %s of provider %s needs no person", p.Flow, a.Provider), Hint: fmt.Sprintf(`To test the account: xoauthd check %s`, a.Name)}
	case !a.Enabled:
		return &api.Error{Status: http.StatusConflict, What: fmt.Sprintf("account %q is disabled and cannot be authorized", a.Name), Hint: "Remove enabled = false from the configuration and restart xoauthd."}
	}
	return nil
}

// finishing returns the context of a request to the provider that must end although the
// client has left: otherwise its result would be lost.
func (p *page) finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return p.hurried(context.WithoutCancel(ctx))
}

// Status implements api.Backend.
func (b *backend) Status() api.Status {
	s := api.Status{Version: Version(), Running: b.daemon.api != nil, Fingerprint: b.daemon.config.Fingerprint}
	if b.daemon.store.Full() {
		s.Warning = "the disk of " + b.daemon.config.StateDirectory + " is full: grants may be lost when xoauthd ends. Free space there"
	}
	return s
}

// Accounts implements api.Backend.
func (b *backend) Accounts() []api.Account {
	all := []api.Account{}
	for _, a := range b.daemon.accounts.list() {
		all = append(all, b.pageOf(a).state())
	}
	return all
}

// Account implements api.Backend.
func (b *backend) Account(name string) (api.Account, error) {
	p, err := b.page(name)
	if err != nil {
		return api.Account{}, err
	}
	return p.state(), nil
}

// state returns the state of the account.
func (p *page) state() api.Account {
	a := api.Account{
		Name:     p.Name(),
		Pattern:  p.config.Pattern,
		Provider: p.provider.Name,
		Flow:     p.Flow(),
		Enabled:  p.config.Enabled,
		Status:   p.Status(),
	}
	if a.State == auth.NeedsAuthorization {
		a.How = p.remedy
	}
	return a
}

// Check implements api.Backend. The daemon has the token, and the network and the sandbox of
// the account's sessions.
func (b *backend) Check(ctx context.Context, account string, s *api.Stream) error {
	p, err := b.page(account)
	if err != nil {
		return err
	}
	ctx, cancel := p.hurried(ctx)
	defer cancel()
	var unsent error
	doctor.Examine(ctx, p.subject(), func(taken step.Step) {
		if unsent == nil {
			unsent = s.Send(api.Event{Step: &taken})
		}
	})
	return unsent
}
