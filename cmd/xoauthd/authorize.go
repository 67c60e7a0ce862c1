package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/flow"
	"github.com/xoauthd/xoauthd/internal/text"
)

func authorizeCommand(file *string) *cobra.Command {
	var inTerminal, yes bool
	c := &cobra.Command{
		Use:   "authorize ACCOUNT",
		Short: "Authorize an account",
		Long: `Print the link at which the owner of the mailbox authorizes ACCOUNT. The daemon must
be running, and the browser must reach it: for a browser on another machine, the
command prints how.

With --terminal, without [web] in the configuration, and with the flow device_code,
the authorization takes place in the terminal. The browser can then be on any
machine.`,
		Args: oneAccount,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			c, account, err := loadAccount(*file, args[0])
			if err != nil {
				return err
			}
			provider := c.Providers[account.Provider]
			if err := daemon.CanAuthorize(provider, account); err != nil {
				return err
			}
			if inTerminal || c.Web == nil || provider.Flow != flow.AuthorizationCode {
				return authorizeInTerminal(cmd, c, account, yes)
			}
			if err := checkDaemonHas(cmd, c, account.Name); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), daemon.Link(c.Web, account.Name))
			if tunnel := tunnel(c.Web); tunnel != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "Open it in a browser on this machine. From another one, first: %s\n", tunnel)
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&inTerminal, "terminal", false, "authorize in the terminal, with a browser on any machine")
	c.Flags().BoolVarP(&yes, "yes", "y", false, replaceUsage)
	return c
}

// authorizeInTerminal authorizes an account in the terminal.
func authorizeInTerminal(cmd *cobra.Command, c *config.Config, account *config.Account, yes bool) error {
	t := &terminal{person: account.LoginHint, yes: yes, out: cmd.OutOrStdout(), prompter: newPrompter(cmd.InOrStdin(), cmd.ErrOrStderr())}
	return withDaemon(cmd, c, func(ctx context.Context, d connection) error {
		return d.Authorize(ctx, account.Name, t.handle)
	})
}

// A terminal is where a person authorizes an account.
type terminal struct {
	person string // the address to sign in as
	yes    bool   // replace a grant that opens more, without asking
	out    io.Writer
	*prompter
}

// handle is an api.Listener.
func (t *terminal) handle(ctx context.Context, e api.Event) (api.Answer, error) {
	switch {
	case e.Consent != nil:
		address, err := t.consent(ctx, e.Consent)
		return api.Answer{Address: address}, err
	case e.Device != nil:
		return api.Answer{}, t.device(e.Device)
	case e.Confirm != nil:
		return confirmReplacing(ctx, t.out, t.prompter, t.yes, e.Confirm)
	case e.Result != nil:
		return api.Answer{}, printResult(t.out, e.Result)
	}
	return api.Answer{}, api.ErrUnexpected
}

// consent prints the link of the provider, and returns the address at which the
// browser ended.
func (t *terminal) consent(ctx context.Context, c *api.Consent) (string, error) {
	if c.Rejected != "" {
		return t.ask(ctx, "Invalid address: "+c.Rejected+".\nPaste the whole address that the browser shows in the end: ")
	}
	fmt.Fprintf(t.out, `Open this in a browser, on any machine, and sign in as %s:

%s

The browser ends at an address that begins with %s.
What is shown there, if anything, does not matter: paste that address here.

If %s says that the redirect URI is wrong, register this one: %s
`, t.person, c.URL, c.Redirect, c.Provider, strings.TrimSpace(c.URI+"\n"+c.Note))
	return t.ask(ctx, "Address: ")
}

// device prints the code and the page to enter it at.
func (t *terminal) device(d *api.DeviceCode) error {
	_, err := fmt.Fprintf(t.out, `Open this in a browser, on any device, and sign in as %s:

%s

Enter there the code

%s

which is valid until %s (%s). This command waits for it; Ctrl-C ends it.
`, t.person, cmp.Or(d.Complete, d.URL), d.Code, d.Expiry.Local().Format("15:04 MST"), text.Left(d.Expiry, time.Now()))
	return err
}

// checkDaemonHas returns an error unless a daemon with this account runs: without it, the
// link would lead nowhere.
func checkDaemonHas(cmd *cobra.Command, c *config.Config, account string) error {
	d, err := connect(cmd, c)
	if err == nil {
		_, err = d.Account(cmd.Context(), account)
	}
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return errInterrupted
	case errors.Is(err, api.ErrNoDaemon), err == nil && !d.status.Running:
		return errors.New("no daemon runs: start the daemon first, or use --terminal to authorize without its pages")
	}
	return err
}

// tunnel returns the ssh command that forwards the pages to another machine. It is
// empty if other machines can reach public_url.
func tunnel(web *config.Web) string {
	u, err := url.Parse(web.PublicURL)
	if err != nil || u.Scheme != "http" {
		return ""
	}
	to := web.Address
	if to == "" || strings.HasPrefix(to, "unix:") { // a reverse proxy of this machine has the URL
		to = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80"))
	}
	_, port, err := net.SplitHostPort(to)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("ssh -L %s:%s THIS-MACHINE", cmp.Or(u.Port(), port), to)
}
