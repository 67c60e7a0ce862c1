package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/internal/control"
)

// assembleOpen returns a daemon that has no listener, and that the test closes.
func assembleOpen(t *testing.T, more string) *Daemon {
	t.Helper()
	d, err := Assemble(load(t, listeners+more), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// assemble returns a daemon that has no listener.
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

// command has d carry out a command, whose questions are answered by token.
func command(t *testing.T, d *Daemon, name, account string) (events []string, err error) {
	t.Helper()
	here, there := net.Pipe()
	go d.Converse(t.Context(), there)
	err = control.Do(t.Context(), here, control.Request{Command: name, Account: account}, func(_ context.Context, e control.Event) (string, error) {
		events = append(events, e.Name)
		return "token", nil
	})
	return events, err
}

// TestCommands are those that come to nothing, each with the reason.
func TestCommands(t *testing.T) {
	d := assemble(t, "")
	bob := d.accounts.byName["bob@example.com"]
	bob.Account = auth.NewAccount(bob.Name(), bob.provider.Provider, oauth.AppPassword("secret"), d.store, nil)
	for i, a := range d.accounts.all {
		if a.Name() == bob.Name() {
			d.accounts.all[i] = bob.Account
		}
	}
	alice := d.accounts.byName["alice@example.com"]
	alice.provider.config.RedirectURL = ""
	for _, test := range []struct{ command, account, want string }{
		{CommandStatus, "nobody@example.com", `does not know "nobody@example.com": restart it`},
		{CommandAuthorize, "nobody@example.com", "restart it"},
		{CommandAuthorize, "bob@example.com", `nobody has to authorize bob@example.com`},
		{CommandAuthorize, "alice@example.com", "provider one has no redirect_url"},
		{CommandImport, "bob@example.com", `"xoauthd check bob@example.com" tries it`},
		{CommandAuthorize, "off@example.com", `account "off@example.com" is disabled and cannot be authorized`},
		{CommandImport, "off@example.com", `account "off@example.com" is disabled`},
		{CommandRevoke, "nobody@example.com", "restart it"},
		{CommandForget, "nobody@example.com", "restart it"},
	} {
		if _, err := command(t, d, test.command, test.account); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: %v, want %s", test.command, test.account, err, test.want)
		}
	}
	if events, err := command(t, d, CommandStatus, ""); err != nil || len(events) != 4 {
		t.Errorf("status: %q, %v", events, err)
	}
}

// TestNowhereToTry: a refresh token that could not be tried at any mail server is
// not used.
func TestNowhereToTry(t *testing.T) {
	d := assemble(t, "")
	d.config.Listeners = nil
	const want = "no listener of the configuration leads to provider one\nNothing was done with the refresh token"
	if _, err := command(t, d, CommandImport, "alice@example.com"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestNotTaken: why a refresh token is of no use is told with what to do.
func TestNotTaken(t *testing.T) {
	p := &page{account: assemble(t, "").accounts.byName["alice@example.com"]}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&oauth.Error{Kind: oauth.Consent, Code: "invalid_grant"}, `provider one has client_id "x"`},
		{&oauth.Error{Kind: oauth.Misconfigured, Code: "unauthorized_client"}, `provider one has client_id "x"`},
		{&oauth.Error{Kind: oauth.Passing, Status: 503}, "Nothing was changed: try again later"},
		{&oauth.Error{Kind: oauth.Misconfigured, Code: "invalid_scope"}, "invalid_scope\nThe provider does not allow"},
		{errors.New("it is broken"), "it is broken"},
	} {
		if err := notTaken(p, test.err); !strings.Contains(err.Error(), test.want) || !errors.Is(err, test.err) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}
