// Xoauthd-demo runs a complete demo on this machine, without an account and without a
// network: a mail provider that accepts only OAuth 2.0, and xoauthd, to which programs log
// in with a password.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	// The provider's library logs refused requests to the default log, which would hide
	// the output of the demo.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without what tests cannot use. It returns the exit status: 0, 1 for a failed
// demo, and 2 for an invalid command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("xoauthd-demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, `usage: xoauthd-demo [--authorized] [--log LEVEL]

A mail provider that accepts only OAuth 2.0 and, in front of it, xoauthd: both
on this machine, with no account and no network. It says what to type next.

`)
		flags.PrintDefaults()
	}
	authorized := flags.Bool("authorized", false, "begin with the account authorized")
	level := flags.String("log", "info", "`level` of xoauthd's log: debug shows the dialogues")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		flags.Usage()
		return 2
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, *level) {
		fmt.Fprintf(stderr, "xoauthd-demo: --log %q is not one of debug, info, warn, error\n", *level)
		return 2
	}
	if err := demonstrate(ctx, options{*authorized, *level}, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "xoauthd-demo: %v\n", err)
		return 1
	}
	return 0
}
