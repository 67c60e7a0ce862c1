package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/mail"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/text"
)

func checkCommand(file *string) *cobra.Command {
	var asJSON bool
	var sendTo string
	check := &cobra.Command{
		Use:   "check [ACCOUNT]",
		Short: "Check the configuration or an account",
		Long: `Check the configuration, and print every error with its line. Nothing is started.
If there is none, print the redirect URI to register with each provider.

With ACCOUNT, also test every step of a session of that account: host names,
connections, certificates, the access token, and a login at each mail server by an
independent client. No mailbox is changed, and no mail is sent except with --send-to:
then a test message goes to ADDRESS, by SMTP or by the API of the provider. A failed
step is printed with its cause and its remedy.

The exit status is 78 for an error in the configuration itself, as that of serve. It
is 1 if only a file or another thing that the configuration names cannot be used:
systemd then tries serve again.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && strings.HasSuffix(args[0], ".toml"):
				return errors.New("this is not an account; use --config to name a configuration file")
			case len(args) > 1:
				return errors.New("check one account at a time")
			case asJSON && len(args) == 0:
				return errors.New("--json needs an account")
			case sendTo != "" && len(args) == 0:
				return errors.New("--send-to needs an account")
			case sendTo != "":
				return checkAddress(sendTo)
			}
			return nil
		},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			c, err := load(*file)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				account, err := find(c, args[0])
				if err != nil {
					return err
				}
				return examine(cmd.OutOrStdout(), account.Name, asJSON, atDaemon(cmd, c, sendTo))
			}
			warn(cmd.ErrOrStderr(), c.Warnings)
			warn(cmd.ErrOrStderr(), c.Unavailable)
			summarize(cmd.OutOrStdout(), c)
			return nil
		}),
	}
	check.Flags().StringVar(&sendTo, "send-to", "", "send a test message to `ADDRESS` if all steps pass")
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON, as the manual describes it")
	return check
}

// checkAddress returns an error unless s is an e-mail address without a name.
func checkAddress(s string) error {
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return fmt.Errorf("--send-to: %q is not an e-mail address", s)
	}
	return nil
}

// summarize prints a summary of the configuration, and the redirect URIs to register.
func summarize(w io.Writer, c *config.Config) {
	fmt.Fprintf(w, "%s: OK (%s, %s, %s)\n", c.File,
		text.Count(len(c.Listeners), "listener"), text.Count(len(c.Providers), "provider"), text.Count(len(c.Accounts), "account"))
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		uri, note := p.Registration()
		if uri == "" {
			continue
		}
		fmt.Fprintf(w, "Redirect URI to register with provider %s: %s\n", name, uri)
		if note != "" {
			fmt.Fprintf(w, "  (%s)\n", note)
		}
	}
}

// warn prints the warnings about the configuration. Commands about one
// account do not print them, and serve logs them.
func warn(stderr io.Writer, warnings []config.Fault) {
	for _, w := range warnings {
		daemon.Say(stderr, slog.LevelWarn, fmt.Sprintf("warning: %v", w))
	}
}
