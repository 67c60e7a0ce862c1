package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/cmd/internal/daemon"
	"github.com/xoauthd/xoauthd/config"
)

func authorizeCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "authorize ACCOUNT",
		Short: "Print the link at which a person authorizes an account",
		Long: `Print the link of the page at which the owner of the mailbox ACCOUNT lets
xoauthd use it. The daemon must be running, and the browser must reach it: where
that is another machine, the command says how.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one account: xoauthd authorize alice@example.com")
			}
			return nil
		},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			c, err := load(*file, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			account, err := find(c, args[0])
			if err != nil {
				return err
			}
			if c.Web == nil {
				return fmt.Errorf("%s has no [web]: add one, so that there is a page to authorize at", c.File)
			}
			if err := answers(cmd.Context(), c.Web, account.Name); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), daemon.Link(c.Web, account.Name))
			if tunnel := tunnel(c.Web); tunnel != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "Open it in a browser on this machine. From another one, first: %s\n", tunnel)
			}
			return nil
		}),
	}
}

// answers asks the daemon for the page, which a link to nowhere would not be.
func answers(ctx context.Context, web *config.Web, account string) error {
	link, err := url.Parse(daemon.Link(web, account))
	if err != nil {
		return err
	}
	// Directly, whatever stands between the public URL and the daemon.
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+web.Address+link.EscapedPath(), nil)
	if err != nil {
		return err
	}
	request.Host = link.Host
	client := &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{}, // without a proxy: it is this machine
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("nobody answers at %s: start the daemon first (%w)", web.Address, err)
	}
	answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		return fmt.Errorf("the daemon at %s does not know %s: restart it, so that it reads the configuration anew", web.Address, account)
	}
	return nil
}

// tunnel is the command that brings the pages to another machine, or empty if
// its browsers reach them anyway.
func tunnel(web *config.Web) string {
	u, err := url.Parse(web.PublicURL)
	if err != nil || u.Scheme != "http" {
		return ""
	}
	_, port, err := net.SplitHostPort(web.Address)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("ssh -L %s:%s THIS-MACHINE", cmp.Or(u.Port(), port), web.Address)
}
