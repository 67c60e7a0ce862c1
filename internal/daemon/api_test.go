package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/step"
)

// assembleOpen returns a daemon without listeners. The test must close it.
func assembleOpen(t *testing.T, more string) *Daemon {
	t.Helper()
	d, err := Assemble(load(t, listeners+more), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// assemble returns a daemon without listeners.
func assemble(t *testing.T, more string) *Daemon {
	t.Helper()
	d := assembleOpen(t, more)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// local returns a client of d, whose API it serves until the test ends.
func local(t *testing.T, d *Daemon) *api.Client {
	t.Helper()
	stop, err := d.ServeAPI()
	if err != nil {
		t.Fatal(err)
	}
	client := api.Open(d.config.StateDirectory, Version())
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// refuse is an api.Listener for a request that must fail before its first event.
func refuse(context.Context, api.Event) (api.Answer, error) {
	return api.Answer{}, errors.New("an event came")
}

// TestRefusals sends requests that must fail, each with a status and a reason.
func TestRefusals(t *testing.T) {
	d := assembleOpen(t, "")
	bob := d.accounts.byName["bob@example.com"]
	other, config := *bob.provider, *bob.provider.config
	config.Flow = "app_password"
	other.config = &config
	bob.provider = &other
	d.accounts.byName["alice@example.com"].provider.config.RedirectURL = ""
	c := local(t, d)
	for _, test := range []struct {
		request, account string
		status           int
		want             string
	}{
		{"account", "nobody@example.com", 404, `the daemon has no account "nobody@example.com"` + "\n" + `If the account is new in the configuration, restart the daemon.`},
		{"check", "nobody@example.com", 404, "restart the daemon"},
		{"authorize", "nobody@example.com", 404, "restart the daemon"},
		{"authorize", "bob@example.com", 409, `account "bob@example.com" needs no authorization: the flow app_password`},
		{"authorize", "alice@example.com", 409, "provider one has no redirect_url"},
		{"authorize", "off@example.com", 409, `account "off@example.com" is disabled and cannot be authorized`},
		{"import", "bob@example.com", 409, "xoauthd check bob@example.com"},
		{"import", "off@example.com", 409, `account "off@example.com" is disabled`},
		{"revoke", "nobody@example.com", 404, "restart the daemon"},
		{"forget", "nobody@example.com", 404, "restart the daemon"},
	} {
		var err error
		switch test.request {
		case "account":
			_, err = c.Account(t.Context(), test.account)
		case "check":
			err = c.Check(t.Context(), test.account, api.CheckRequest{}, func(step.Step) {})
		case "authorize":
			err = c.Authorize(t.Context(), test.account, refuse)
		case "import":
			err = c.Import(t.Context(), test.account, api.ImportRequest{RefreshToken: "token"}, refuse)
		default:
			_, err = c.Revoke(t.Context(), test.account, api.RevokeRequest{Local: test.request == "forget"})
		}
		var e *api.Error
		if !errors.As(err, &e) || e.Status != test.status || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v (%+v), want %d %s", test.request, test.account, err, e, test.status, test.want)
		}
	}
	if all, err := c.Accounts(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("accounts: %+v, %v", all, err)
	}
}

// TestNowhereToTry checks that a refresh token is not used if no mail server can test it.
func TestNowhereToTry(t *testing.T) {
	d := assembleOpen(t, "")
	d.config.Listeners = nil
	const want = "no listener of the configuration serves provider one\nNothing was done with the refresh token"
	if err := local(t, d).Import(t.Context(), "alice@example.com", api.ImportRequest{RefreshToken: "token"}, refuse); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestImportUnreachable checks that a mail server that cannot be reached is not a fault of
// the daemon.
func TestImportUnreachable(t *testing.T) {
	d := assembleOpen(t, "")
	u := d.accounts.byName["alice@example.com"].Upstream("imap")
	u.Host, u.Port = "127.0.0.1", 1
	err := local(t, d).Import(t.Context(), "alice@example.com", api.ImportRequest{RefreshToken: "token"}, refuse)
	var e *api.Error
	if !errors.As(err, &e) || e.Status != 502 || e.What != "no mail server of alice@example.com can be reached" ||
		!strings.HasPrefix(e.Why, "IMAP at 127.0.0.1:1: ") || !strings.HasSuffix(e.Hint, nothingDone) {
		t.Errorf("%v (%+v)", err, e)
	}
}

// TestNotTaken checks that the error for a refused refresh token has a reason and a remedy.
func TestNotTaken(t *testing.T) {
	p := assemble(t, "").accounts.byName["alice@example.com"].provider
	for _, test := range []struct {
		err  error
		want string
	}{
		{&oauth.Error{Kind: oauth.NeedsConsent, Code: "invalid_grant"}, `provider one has client_id "x"`},
		{&oauth.Error{Kind: oauth.Misconfigured, Code: "unauthorized_client"}, `provider one has client_id "x"`},
		{&oauth.Error{Kind: oauth.Temporary, Status: 503}, "Try again later. Nothing was changed."},
		{&oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_scope"}, "invalid_scope\nThe provider does not allow"},
		{errors.New("it is broken"), "it is broken"},
	} {
		if err := notTaken(p, test.err); !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.err.Error()) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

// TestSilentConnections checks that connections that send nothing neither keep out commands
// nor delay the shutdown for long.
func TestSilentConnections(t *testing.T) {
	d, stop := start(t, load(t, listeners))
	path := api.SocketPath(d.config.StateDirectory)
	for range 3 * apiConns {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	client := api.Open(d.config.StateDirectory, Version())
	if s, err := client.Status(t.Context()); err != nil || s.Version != Version() {
		t.Errorf("%+v, %v", s, err)
	}
	begun := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
}

// TestStopWithCommand checks that the shutdown ends a command that waits for a person, with
// the reason.
func TestStopWithCommand(t *testing.T) {
	d, stop := start(t, load(t, listeners))
	client := api.Open(d.config.StateDirectory, Version())
	begun := time.Now()
	stopped := make(chan error, 1)
	err := client.Authorize(t.Context(), "alice@example.com", func(ctx context.Context, e api.Event) (api.Answer, error) {
		if e.Consent == nil {
			t.Errorf("event %+v", e)
		}
		go func() { stopped <- stop() }()
		<-ctx.Done() // a person at the prompt does nothing
		return api.Answer{}, ctx.Err()
	})
	if err == nil || err.Error() != "xoauthd is stopping" {
		t.Errorf("err = %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 12*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
}
