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

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/cmd/internal/control"
	"github.com/xoauthd/xoauthd/cmd/internal/daemon"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/text"
)

// errInterrupted is of a person who pressed Ctrl-C.
var errInterrupted = errors.New(`interrupted; "xoauthd status" shows the state of the account`)

// perform has the daemon carry out r. Where none runs, this process is the
// daemon for as long as that takes, and alone is true.
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

// standIn carries out r with a daemon that has no listener.
func standIn(cmd *cobra.Command, c *config.Config, r control.Request, hear control.Hear) error {
	if len(c.Withheld) > 0 { // not as an error of the configuration, which is right
		return fmt.Errorf("no daemon runs, and this command cannot read what it needs: start the daemon first\n%v", c.Withheld)
	}
	if err := mayStandIn(cmd, c.StateDirectory); err != nil {
		return err
	}
	d, err := daemon.Assemble(c, standInLog(cmd, c, r))
	if errors.Is(err, auth.ErrInUse) {
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
	conversation.Wait() // what it has begun may have to be saved
	return errors.Join(err, d.Close())
}

// standsIn says that no daemon runs, and what that means while r is carried out.
func standsIn(r control.Request) string {
	if r.Command == daemon.CommandStatus { // which takes no time
		return "No daemon runs."
	}
	return "No daemon runs. This command does the work itself; no daemon can start until it ends."
}

// standInLog is the log of a daemon whose command shows what comes of it: errors
// alone, and not even those between the steps of check, which tell them.
func standInLog(cmd *cobra.Command, c *config.Config, r control.Request) *slog.Logger {
	if r.Command == daemon.CommandCheck {
		return slog.New(slog.DiscardHandler)
	}
	quiet := c.Log
	quiet.Level = "error"
	return daemon.NewLog(quiet, cmd.ErrOrStderr())
}

// mayStandIn refuses to make files that the daemon's user could not read.
func mayStandIn(cmd *cobra.Command, dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Geteuid() == 0:
		return fmt.Errorf("no daemon has run yet, as there is no %s: start it first, so that its user gets it", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as root, or as the user that xoauthd runs as: %s", err, asOwner(cmd, dir))
	case err != nil:
		return nil // which opening the store finds, too
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("no daemon runs, and %s is another user's: start the daemon first, or run this as that user: %s", dir, asOwner(cmd, dir))
	}
	return nil
}

// asOwner is what to type to run cmd as the owner of dir, or as who that is by
// default where nothing can be known of dir.
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

// oneAccount demands that a command is given one account.
func oneAccount(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one account: %s alice@example.com", cmd.CommandPath())
	}
	return nil
}

// refuse is a Hear for what a command cannot make anything of.
func refuse(_ context.Context, e control.Event) (string, error) {
	return "", fmt.Errorf("the daemon says %q, which this command does not know: restart the daemon", e.Name)
}
