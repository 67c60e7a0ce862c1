package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"os"
	"strings"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/shutdown"
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
		Backend:  &backend{d, e.shutdown},
		Version:  Version(),
		Log:      d.log,
		Stopping: e.shutdown.Begun(),
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
	daemon   *Daemon
	shutdown *shutdown.Shutdown
}

// manager returns the manager of the account with a name, without regard to case.
func (b *backend) manager(name string) (*manager, error) {
	for _, a := range b.daemon.accounts.list() {
		if strings.EqualFold(a.Name(), name) {
			return b.daemon.manager(a.Name(), b.shutdown), nil
		}
	}
	return nil, &api.Error{Status: http.StatusNotFound, What: fmt.Sprintf("the daemon has no account %q", name), Hint: "If the account is new in the configuration, restart the daemon."}
}

// interactive returns the manager of the account with a name, if a person can authorize the
// account.
func (b *backend) interactive(name string) (*manager, error) {
	m, err := b.manager(name)
	if err != nil {
		return nil, err
	}
	return m, CanAuthorize(m.account.provider.config, m.account.config)
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
		all = append(all, b.daemon.accounts.byName[a.Name()].state())
	}
	return all
}

// Account implements api.Backend.
func (b *backend) Account(name string) (api.Account, error) {
	m, err := b.manager(name)
	if err != nil {
		return api.Account{}, err
	}
	return m.account.state(), nil
}

// state returns the state of the account.
func (a *account) state() api.Account {
	s := api.Account{
		Name:     a.Name(),
		Pattern:  a.config.Pattern,
		Provider: a.config.Provider,
		Flow:     a.provider.config.Flow,
		Enabled:  a.config.Enabled,
		Status:   a.grants.Status(),
	}
	if s.State == auth.NeedsAuthorization {
		s.How = a.remedy
	}
	return s
}

// Check implements api.Backend. The daemon has the token, and the network and the sandbox of
// the account's sessions.
func (b *backend) Check(ctx context.Context, account string, r api.CheckRequest, s *api.Stream) error {
	m, err := b.manager(account)
	if err != nil {
		return err
	}
	if a, err := mail.ParseAddress(r.SendTo); r.SendTo != "" && (err != nil || a.Address != r.SendTo) {
		return &api.Error{Status: http.StatusBadRequest, What: "send_to is not an e-mail address"}
	}
	ctx, cancel := b.shutdown.UntilDeadline(ctx)
	defer cancel()
	subject := m.subject()
	subject.SendTo = r.SendTo
	var unsent error
	doctor.Examine(ctx, subject, func(taken step.Step) {
		if unsent == nil {
			unsent = s.Send(api.Event{Step: &taken})
		}
	})
	return unsent
}
