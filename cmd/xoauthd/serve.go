package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/systemd"
)

func serveCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground, as systemd wants it. It logs to standard
error. SIGTERM and SIGINT let sessions finish; a second one ends it at once.`,
		Args: noArguments,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			sockets, err := systemd.Sockets() // before a file is opened, or a child begins
			if err != nil {
				return err
			}
			err = serve(cmd, *file, sockets)
			if len(sockets) > 0 {
				pauseForFaults(cmd.Context(), err)
			}
			return err
		}),
	}
}

// serve runs the daemon until the context of cmd is done. It does not wait for a start
// that takes long: what that has begun ends with the process, and files in the state
// directory are replaced as a whole.
func serve(cmd *cobra.Command, file string, sockets []systemd.Socket) error {
	dumpable := forbidDumps() // before there is a secret to dump
	catchBrokenPipe()
	catchAbort()
	started := make(chan func() error, 1)
	go func() { started <- start(cmd, file, sockets, dumpable) }()
	select {
	case run := <-started:
		return run()
	case <-cmd.Context().Done():
		fmt.Fprintln(cmd.ErrOrStderr(), "stopped before the daemon had started")
		return nil
	}
}

// start creates the daemon. It returns a function that runs it, or one that returns why it
// cannot run.
func start(cmd *cobra.Command, file string, sockets []systemd.Socket, dumpable error) (run func() error) {
	fail := func(err error) func() error { return func() error { return err } }
	// Nearly everything that is allocated now is kept, so collecting more often only
	// delays the start: with 10,000 accounts it takes half as much processor time again.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	c, err := load(file)
	if err != nil {
		return fail(err)
	}
	log := daemon.OpenLog(c.Log, cmd.ErrOrStderr())
	for _, w := range c.Warnings {
		log.Warn("configuration warning", "file", w.File, "line", w.Line, "error", w.Message)
	}
	d, err := daemon.New(c, log.Logger, sockets...)
	if err != nil {
		log.Close()
		return fail(err)
	}
	return func() error { return runDaemon(cmd.Context(), d, c, log, dumpable) }
}

// runDaemon runs d until ctx is done, and closes the log.
func runDaemon(ctx context.Context, d *daemon.Daemon, c *config.Config, log *daemon.Log, dumpable error) error {
	defer log.Close()
	d.Register(log.Collector())
	defer ignoreHangUp(log.Logger)()
	if dumpable != nil {
		log.Warn("a core dump may hold secrets: set LimitCORE=0, or ulimit -c 0", "error", dumpable.Error())
	}
	log.Info("starting", "version", daemon.Version(), "config", c.File, "state", c.StateDirectory)
	if err := d.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// pauseForFaults waits after an error that only a change of the configuration fixes, as long
// as RestartSec= of the unit. Without this pause, systemd would start the daemon again at
// once, in a loop, for a connection that waits at one of its sockets.
func pauseForFaults(ctx context.Context, err error) {
	if !isWritten(err) {
		return // systemd waits itself
	}
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
	}
}

// surviveHangUp keeps SIGHUP from ending the process. It sets a handler rather than SIG_IGN,
// which a token_command would inherit.
func surviveHangUp() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }

// ignoreHangUp logs SIGHUP, which makes other daemons read their configuration again.
func ignoreHangUp(log *slog.Logger) (stop func()) {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	go func() {
		for range hangUps {
			log.Warn("SIGHUP ignored: restart xoauthd to read the configuration again")
		}
	}()
	return func() {
		signal.Stop(hangUps)
		close(hangUps)
	}
}

// catchBrokenPipe makes a write to a closed standard error an error, which is counted. By
// default it would end the process. It sets a handler rather than SIG_IGN, which a
// token_command would inherit.
func catchBrokenPipe() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// load reads the configuration.
func load(file string) (*config.Config, error) {
	c, err := config.Load(file)
	var faults config.Faults
	if errors.As(err, &faults) {
		err = fmt.Errorf("%s: invalid configuration:\n%w", file, err)
	}
	return c, err
}
