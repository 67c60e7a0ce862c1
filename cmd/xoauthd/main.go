// Xoauthd lets programs that know only a user name and a password use mail
// servers that accept only OAuth 2.0.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/daemon"
)

// defaultConfig is the default of --config.
const defaultConfig = "/etc/xoauthd/xoauthd.toml"

func main() {
	if slices.Contains(os.Args[1:], "serve") {
		surviveHangUp() // before anything that takes time
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit statuses, beside 0.
const (
	exitFailed = 1  // the command failed
	exitUsage  = 2  // the command line is invalid
	exitConfig = 78 // the configuration is invalid: EX_CONFIG of sysexits.h, which the unit does not retry
)

// A failed error is the error of a valid command that failed.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// argsKey is the context key of the command line (a []string).
type argsKey struct{}

// run is main without what a test cannot have.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.WithValue(ctx, argsKey{}, args))
	if err == nil {
		return 0
	}
	if f := (failed{}); !errors.As(err, &f) {
		fmt.Fprintf(stderr, "xoauthd: %v\nTry \"xoauthd --help\".\n", err)
		return exitUsage
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	within(time.Second, func() { daemon.Say(stderr, slog.LevelError, "xoauthd: "+err.Error()) })
	if isWritten(err) {
		return exitConfig
	}
	return exitFailed
}

// isWritten reports whether only a change of the configuration helps against err. Other
// files may be missing for a moment only.
func isWritten(err error) bool {
	var faults config.Faults
	return errors.As(err, &faults) && !faults.External()
}

// within runs f and waits for it for at most d: standard error may be a pipe that nobody
// reads, and the program must end all the same.
func within(d time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// command returns the root command.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "xoauthd",
		Short: "OAuth 2.0 for mail programs that know only passwords",
		Long: `xoauthd lets programs that know only a user name and a password use mail servers
that accept only OAuth 2.0. Programs connect to it on this machine or, with TLS, from
others. It logs in to the mail servers with tokens that it obtains, stores and refreshes
itself.`,
		Version:       daemon.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("xoauthd {{.Version}}\n")
	for _, of := range []func(file *string) *cobra.Command{
		serveCommand, checkCommand, configCommand, statusCommand, authorizeCommand, grantCommand, revokeCommand,
	} {
		root.AddCommand(configured(of))
	}
	root.AddCommand(hashPasswordCommand(), makeKeyCommand(), makeCertCommand())
	return root
}

// configured returns a command with the option --config, which its subcommands have
// too.
func configured(of func(file *string) *cobra.Command) *cobra.Command {
	file := new(string)
	c := of(file)
	c.PersistentFlags().StringVarP(file, "config", "c", defaultConfig, "configuration `file`")
	return c
}

// noArguments returns an error for any argument, such as a file without --config.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flag("config") == nil {
		return fmt.Errorf("%s takes no arguments", cmd.Name())
	}
	return fmt.Errorf("%s takes no arguments; use --config to name a configuration file", cmd.Name())
}

// action marks the errors of f as failed: f runs only if the command line is valid.
func action(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return failed{err}
		}
		return nil
	}
}
