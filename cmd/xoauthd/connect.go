package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/text"
)

// errInterrupted is the error of a command that Ctrl-C has ended.
var errInterrupted = errors.New(`interrupted; "xoauthd status" shows the state of the account`)

// A connection is a connection of a command to the admin API.
type connection struct {
	*api.Client
	status api.Status
}

// withDaemon runs f with a connection to the daemon. If none runs, it starts one without
// listeners in this process: administrators test and authorize accounts before the first
// start, and read their state when the daemon does not start.
func withDaemon(cmd *cobra.Command, c *config.Config, f func(context.Context, connection) error) error {
	ctx := cmd.Context()
	d, err := connect(cmd, c)
	switch {
	case err == nil:
		err = f(ctx, d)
	case errors.Is(err, api.ErrNoDaemon):
		err = locally(cmd, c, f)
	}
	if err != nil && ctx.Err() != nil {
		err = errInterrupted
	}
	return err
}

// connect connects to the daemon. The error is api.ErrNoDaemon if none runs.
func connect(cmd *cobra.Command, c *config.Config) (connection, error) {
	client := api.Open(c.StateDirectory, daemon.Version())
	status, err := client.Status(cmd.Context())
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("the daemon is another user's: run this as root, or as that user: %s", asOwner(cmd, c.StateDirectory))
	}
	return connection{client, status}, err
}

// locally runs f with a daemon without listeners in this process.
func locally(cmd *cobra.Command, c *config.Config, f func(context.Context, connection) error) error {
	if len(c.Unavailable) > 0 { // no configuration error: the file is valid
		return fmt.Errorf("no daemon runs, and this command cannot read what it needs: start the daemon first\n%v", c.Unavailable)
	}
	if err := mayRunLocally(cmd, c.StateDirectory); err != nil {
		return err
	}
	d, err := daemon.Assemble(c, localLog(cmd, c))
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("another xoauthd uses %s and does not answer commands: it is starting or stopping, or it is of an older version: try again, or restart it", c.StateDirectory)
	}
	if err != nil {
		return err
	}
	notice := "No daemon runs."
	if cmd.Name() != "status" { // which takes no time
		notice += " This command does the work itself; no daemon can start until it ends."
	}
	fmt.Fprintln(cmd.ErrOrStderr(), notice)
	stop, err := d.ServeAPI()
	if err != nil {
		return err
	}
	local, err := connect(cmd, c)
	if err == nil {
		err = f(cmd.Context(), local)
	}
	return errors.Join(err, stop()) // which waits for a grant that must be saved
}

// localLog returns the log of locally: errors only, and nothing for check, whose steps
// contain them.
func localLog(cmd *cobra.Command, c *config.Config) *slog.Logger {
	if cmd.Name() == "check" {
		return slog.New(slog.DiscardHandler)
	}
	quiet := c.Log
	quiet.Level = "error"
	return daemon.NewLog(quiet, cmd.ErrOrStderr())
}

// mayRunLocally returns an error if this process would create files that the daemon's
// user could not read.
func mayRunLocally(cmd *cobra.Command, dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Geteuid() == 0:
		return fmt.Errorf("%s does not exist, because no daemon has run yet: start the daemon first, which creates it for its user", dir)
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

// asOwner returns the command line with sudo for the owner of dir, or for the user xoauthd if
// the owner is not known.
func asOwner(cmd *cobra.Command, dir string) string {
	name := "xoauthd"
	if info, err := os.Stat(dir); err == nil {
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			name = userName(strconv.Itoa(int(owner.Uid)))
		}
	}
	args, _ := cmd.Context().Value(argsKey{}).([]string)
	words := append([]string{"sudo", "-u", name, "xoauthd"}, args...)
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

// oneAccount returns an error unless there is exactly one argument.
func oneAccount(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one account: %s alice@example.com", cmd.CommandPath())
	}
	return nil
}
