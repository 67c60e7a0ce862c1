package daemon

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/control"
)

// The commands that a daemon carries out, each with what it tells.
const (
	CommandStatus    = "status"    // EventRunning; EventAccount for each account, or the one that is named
	CommandCheck     = "check"     // EventRunning; EventStep for each step
	CommandAuthorize = "authorize" // EventConsent, which asks, or EventDevice; perhaps EventConfirm, which asks; EventOutcome
	CommandImport    = "import"    // EventToken, which asks; perhaps EventConfirm, which asks; EventOutcome
	CommandRevoke    = "revoke"    // EventForgotten
	CommandForget    = "forget"    // EventForgotten
)

// What is told, and of which type.
const (
	EventRunning   = "running"   // Running
	EventAccount   = "account"   // AccountStatus
	EventStep      = "step"      // doctor.Step
	EventConsent   = "consent"   // Consent; the answer is the address where the browser ended
	EventDevice    = "device"    // DeviceCode
	EventToken     = "token"     // nothing; the answer is a refresh token
	EventConfirm   = "confirm"   // authorize.Result; the answer is AnswerReplace, or anything else
	EventOutcome   = "outcome"   // authorize.Result
	EventForgotten = "forgotten" // Forgotten
)

// AnswerReplace is the answer to EventConfirm that has the present grant replaced.
const AnswerReplace = "replace"

// A controller carries out commands.
type controller struct {
	control.Server
	daemon *Daemon
	late   context.Context // done when there is no time left to wait for anybody
}

// newController returns one that is to come to an end when stopping is done: it
// then has lastRequest for what it has begun. The caller must call end.
func (d *Daemon) newController(stopping context.Context) (k *controller, end func()) {
	late, hurry := context.WithCancel(context.Background())
	context.AfterFunc(stopping, func() {
		last := time.AfterFunc(lastRequest, hurry)
		context.AfterFunc(late, func() { last.Stop() })
	})
	k = &controller{daemon: d, late: late}
	k.Log = d.log
	k.Handlers = map[string]control.Handler{
		CommandStatus:    k.status,
		CommandCheck:     k.check,
		CommandAuthorize: k.authorize,
		CommandImport:    k.adopt,
		CommandRevoke:    k.revoke,
		CommandForget:    k.forget,
	}
	return k, hurry
}

// serveControl carries out the commands that come in until ctx is done, and
// then finishes what it has begun.
func (d *Daemon) serveControl(ctx context.Context) error {
	k, end := d.newController(ctx)
	defer end()
	return k.Serve(ctx, d.control)
}

// Converse carries out the command at the other end of conn, as a daemon that
// runs does with those that come in.
func (d *Daemon) Converse(ctx context.Context, conn net.Conn) {
	k, end := d.newController(ctx)
	defer end()
	k.Server.Converse(ctx, conn)
}

// page returns the account of that name.
func (k *controller) page(name string) (*page, error) {
	for _, a := range k.daemon.accounts.list() {
		if strings.EqualFold(a.Name(), name) {
			return k.pageOf(a), nil
		}
	}
	return nil, fmt.Errorf("the daemon does not know %q: restart it, so that it reads the configuration anew", name)
}

func (k *controller) pageOf(a *auth.Account) *page {
	return &page{account: k.daemon.accounts.byName[a.Name()], daemon: k.daemon, stopping: k.late, late: k.late}
}

// attended returns the account of that name, which a person authorizes.
func (k *controller) attended(name string) (*page, error) {
	p, err := k.page(name)
	if err == nil && !p.Attended() {
		err = fmt.Errorf("nobody has to authorize %s: the flow of provider %s, %s, needs no person. \"xoauthd check %[1]s\" tries it",
			p.Name(), p.provider.Name, p.Flow())
	}
	if err == nil && !p.config.Enabled {
		err = Disabled(p.config)
	}
	return p, err
}

// Disabled is the error for a disabled account that somebody wants to authorize.
func Disabled(a *config.Account) error {
	return fmt.Errorf("account %q is disabled and cannot be authorized: remove enabled = false from the configuration and restart xoauthd", a.Name)
}

// finishing returns the context of a request to the provider that is to come to
// its end though the command leaves: what it changes there must not be lost here.
func (p *page) finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return p.hurried(context.WithoutCancel(ctx))
}

// An AccountStatus is how an account stands.
type AccountStatus struct {
	Account   string     `json:"account"`
	Pattern   string     `json:"pattern,omitempty"` // of which it is a mailbox
	Provider  string     `json:"provider"`          // its name in the configuration
	Flow      string     `json:"flow"`
	Enabled   bool       `json:"enabled"`
	State     auth.State `json:"state"`
	Why       string     `json:"why,omitempty"`      // the state is what it is; empty if all is well
	Hint      string     `json:"hint,omitempty"`     // what helps against that
	How       string     `json:"how,omitempty"`      // what a person has to do who authorizes it
	Identity  string     `json:"identity,omitempty"` // who consented
	Consented time.Time  `json:"consented,omitzero"` // last
	Refreshed time.Time  `json:"refreshed,omitzero"` // last
	Expiry    time.Time  `json:"expiry,omitzero"`    // of the access token
	Ends      time.Time  `json:"ends,omitzero"`      // when the provider will end the grant, if it has said so

	Problems   []auth.Problem       `json:"problems,omitempty"`    // all that is wrong; Why and Hint are those of the first
	LastLogins map[string]time.Time `json:"last_logins,omitempty"` // that mail servers accepted, by protocol
}

func (p *page) accountStatus() AccountStatus {
	s := p.Status()
	shown := AccountStatus{
		Account:   p.Name(),
		Pattern:   p.config.Pattern,
		Provider:  p.provider.Name,
		Flow:      p.Flow(),
		Enabled:   p.config.Enabled,
		State:     s.State,
		Why:       s.Why,
		Hint:      s.Hint,
		Identity:  s.Identity,
		Consented: s.Obtained,
		Refreshed: s.Refreshed,
		Expiry:    s.Expiry,
		Ends:      s.Ends,

		Problems:   s.Problems,
		LastLogins: s.Logins,
	}
	if s.State == auth.NeedsAuthorization {
		shown.How = p.remedy
	}
	return shown
}

func (k *controller) status(_ context.Context, r control.Request, c *control.Conversation) error {
	if err := c.Tell(EventRunning, k.daemon.running()); err != nil {
		return err
	}
	if r.Account != "" {
		p, err := k.page(r.Account)
		if err != nil {
			return err
		}
		return c.Tell(EventAccount, p.accountStatus())
	}
	for _, a := range k.daemon.accounts.list() {
		if err := c.Tell(EventAccount, k.pageOf(a).accountStatus()); err != nil {
			return err
		}
	}
	return nil
}
