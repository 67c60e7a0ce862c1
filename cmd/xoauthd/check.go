package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
)

func checkCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration",
		Long: `Read the configuration as serve does, and tell everything that is wrong with
it, each with its line. Nothing is started. If all is well, it tells what the
providers must know: the redirect URI to register with each of them.`,
		Args: noArguments,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			c, err := load(*file, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			for _, w := range c.Withheld {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
			}
			summarize(cmd.OutOrStdout(), c)
			return nil
		}),
	}
}

// summarize says what the configuration comes to.
func summarize(w io.Writer, c *config.Config) {
	fmt.Fprintf(w, "%s is right: %s, %s, %s.\n", c.File,
		count(len(c.Listeners), "listener"), count(len(c.Providers), "provider"), count(len(c.Accounts), "account"))
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		if p.RedirectURL == "" {
			continue
		}
		fmt.Fprintf(w, "Redirect URI to register with provider %s: %s\n", name, p.RedirectURL)
		if strings.HasPrefix(p.RedirectURL, "http://localhost:") && (p.Preset == "microsoft" || p.Preset == "outlook") {
			fmt.Fprintln(w, "  (Microsoft ignores the port of localhost, and wants it registered without)")
		}
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
