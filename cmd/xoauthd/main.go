// Xoauthd lets programs that know only a user name and a password use mail
// servers that accept only OAuth 2.0.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/cmd/internal/daemon"
)

// defaultConfig is where the configuration is, unless --config says otherwise.
const defaultConfig = "/etc/xoauthd/xoauthd.toml"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// A failed error is of a command that was understood and did not succeed.
type failed struct{ error }

// run is main, but for what a test cannot have. Exit statuses are 0, 1 for a
// command that failed, and 2 for one that was not understood.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var f failed
	switch {
	case err == nil:
		return 0
	case errors.As(err, &f):
		fmt.Fprintf(stderr, "xoauthd: %v\n", f.error)
		return 1
	}
	fmt.Fprintf(stderr, "xoauthd: %v\nTry \"xoauthd --help\".\n", err)
	return 2
}

// command is the program's command line.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "xoauthd",
		Short: "Passwords for mail programs, OAuth 2.0 for mail servers",
		Long: `xoauthd lets programs that know only a user name and a password use mail
servers that accept only OAuth 2.0. Programs connect to it on this machine; it
logs in upstream with tokens that it obtains, keeps and refreshes itself.`,
		Version:       daemon.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetVersionTemplate("xoauthd {{.Version}}\n")
	config := root.PersistentFlags().StringP("config", "c", defaultConfig, "configuration `file`")
	root.AddCommand(
		serveCommand(config),
		checkCommand(config),
		authorizeCommand(config),
		hashPasswordCommand(),
	)
	return root
}

// action makes a command's function one whose errors are of the command, not of
// the command line.
func action(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return failed{err}
		}
		return nil
	}
}
