package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
)

func checkCommand(file *string) *cobra.Command {
	var asJSON bool
	check := &cobra.Command{
		Use:   "check [ACCOUNT]",
		Short: "Say what is wrong with the configuration, or with an account",
		Long: `Read the configuration as serve does, and tell everything that is wrong with
it, each with its line. Nothing is started. If all is well, it tells what the
providers must know: the redirect URI to register with each of them.

With ACCOUNT, go the whole way of a session of that account as well, and tell of
each step what came of it: names, connections, certificates, the token and what
it is for, and a login at each mail server by an independent client. Nothing is
sent or changed. Where a step fails, it tells the cause and the remedy.`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && strings.HasSuffix(args[0], ".toml"):
				return errors.New("this is no account; a configuration file is named by --config")
			case len(args) > 1:
				return errors.New("check one account at a time")
			case asJSON && len(args) == 0:
				return errors.New("--json is for the examination of an account: name one")
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
				return examine(cmd.Context(), cmd.OutOrStdout(), account.Name, asJSON, atDaemon(cmd, c))
			}
			warn(cmd.ErrOrStderr(), c.Warnings)
			warn(cmd.ErrOrStderr(), c.Withheld)
			summarize(cmd.OutOrStdout(), c)
			return nil
		}),
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print the examination as JSON, as the manual describes it")
	return check
}

// summarize says what the configuration comes to.
func summarize(w io.Writer, c *config.Config) {
	fmt.Fprintf(w, "%s is right: %s, %s, %s.\n", c.File,
		count(len(c.Listeners), "listener"), count(len(c.Providers), "provider"), count(len(c.Accounts), "account"))
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

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
