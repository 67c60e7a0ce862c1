package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/control"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/text"
)

// errInterrupted is the error of a command that Ctrl-C has ended.
var errInterrupted = errors.New(`interrupted; "xoauthd status" shows the state of the account`)

// perform lets the daemon carry out r. If none runs, perform carries it out in this
// process, and alone is true.
func perform(cmd *cobra.Command, c *config.Config, r control.Request, hear control.Hear) (alone bool, err error) {
	ctx := cmd.Context()
	conn, err := connect(cmd, c)
	switch {
	case err == nil:
		err = control.Do(ctx, conn, r, hear)
	case errors.Is(err, control.ErrNoDaemon):
		alone = true
		err = standIn(cmd, c, r, hear)
	}
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	return alone, err
}

// connect connects to the daemon. The error is control.ErrNoDaemon if none runs.
func connect(cmd *cobra.Command, c *config.Config) (net.Conn, error) {
	conn, err := control.Dial(cmd.Context(), c.StateDirectory)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("the daemon is another user's: run this as root, or as that user: %s", asOwner(cmd, c.StateDirectory))
	}
	return conn, err
}

// standIn carries out r in this process, with a daemon that has no listeners.
func standIn(cmd *cobra.Command, c *config.Config, r control.Request, hear control.Hear) error {
	if len(c.Unavailable) > 0 { // no configuration error: the file is valid
		return fmt.Errorf("no daemon runs, and this command cannot read what it needs: start the daemon first\n%v", c.Unavailable)
	}
	if err := mayStandIn(cmd, c.StateDirectory); err != nil {
		return err
	}
	d, err := daemon.Assemble(c, standInLog(cmd, c, r))
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("another xoauthd has %s and takes no commands: it is starting or stopping, or it is of an older version: try again, or restart it", c.StateDirectory)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), standsIn(r))
	here, there := net.Pipe()
	var conversation sync.WaitGroup
	conversation.Go(func() { d.Converse(cmd.Context(), there) })
	err = control.Do(cmd.Context(), here, r, hear)
	conversation.Wait() // it may have a grant to save
	return errors.Join(err, d.Close())
}

// standsIn says that no daemon runs, and that none can start meanwhile.
func standsIn(r control.Request) string {
	if r.Command == daemon.CommandStatus { // which takes no time
		return "No daemon runs."
	}
	return "No daemon runs. This command does the work itself; no daemon can start until it ends."
}

// standInLog returns the log of standIn: errors only, and nothing for check, whose
// steps contain them.
func standInLog(cmd *cobra.Command, c *config.Config, r control.Request) *slog.Logger {
	if r.Command == daemon.CommandCheck {
		return slog.New(slog.DiscardHandler)
	}
	quiet := c.Log
	quiet.Level = "error"
	return daemon.NewLog(quiet, cmd.ErrOrStderr())
}

// mayStandIn returns an error if this process would create files that the daemon's
// user could not read.
func mayStandIn(cmd *cobra.Command, dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Geteuid() == 0:
		return fmt.Errorf("no daemon has run yet, as there is no %s: start it first, so that its user gets it", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as root, or as the user that xoauthd runs as: %s", err, asOwner(cmd, dir))
	case err != nil:
		return nil // opening the store will report it
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("no daemon runs, and %s is another user's: start the daemon first, or run this as that user: %s", dir, asOwner(cmd, dir))
	}
	return nil
}

// asOwner returns the command line that runs cmd as the owner of dir, or as the user
// xoauthd if the owner is not known.
func asOwner(cmd *cobra.Command, dir string) string {
	name := "xoauthd"
	if info, err := os.Stat(dir); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			name = userName(strconv.Itoa(int(owner.Uid)))
		}
	}
	words := append([]string{"sudo", "-u", name}, strings.Fields(cmd.CommandPath())...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		option := "--" + f.Name
		if f.Value.Type() != "bool" || f.Value.String() != "true" {
			option += "=" + f.Value.String()
		}
		words = append(words, option)
	})
	words = append(words, cmd.Flags().Args()...)
	for i, w := range words {
		words[i] = text.ShellWord(w)
	}
	return strings.Join(words, " ")
}

func userName(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return "#" + uid
}

// oneAccount requires exactly one argument, the account.
func oneAccount(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one account: %s alice@example.com", cmd.CommandPath())
	}
	return nil
}

// refuse is a Hear that returns an error for an event that the command does not know.
func refuse(_ context.Context, e control.Event) (string, error) {
	return "", fmt.Errorf("the daemon says %q, which this command does not know: restart the daemon", e.Name)
}
