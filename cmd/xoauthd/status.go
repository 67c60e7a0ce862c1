package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/control"
	"github.com/xoauthd/xoauthd/internal/daemon"
)

func statusCommand(file *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [ACCOUNT]",
		Short: "Show the state of the accounts",
		Long: `Show the state of all accounts, or of one. Problems and their remedies follow the
table. The mailboxes of a pattern share one line if they have no problem.

The exit status is 1 if an enabled account needs authorization or is failing, if its
grant is not on disk, if the disk of the state directory is full, and if no daemon
runs; the accounts are then shown as their files are. An account is failing if the provider issues no token or rejects the
client, if a mail server refused the last login of a protocol, or if a mail server
was unavailable at two logins or more, over five minutes.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("name one account, or none for all")
			}
			return nil
		},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			r := control.Request{Command: daemon.CommandStatus}
			c, err := load(*file)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				account, err := find(c, args[0])
				if err != nil {
					return err
				}
				r.Account = account.Name
			}
			s := status{Accounts: []daemon.AccountStatus{}, fingerprint: c.Fingerprint}
			alone, err := perform(cmd, c, r, s.hear)
			if err != nil {
				return err
			}
			s.Running = !alone
			if s.Stale {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s has changed since the daemon read it: restart the daemon.\n", c.File)
			}
			if asJSON {
				err = s.writeJSON(cmd.OutOrStdout())
			} else {
				err = s.write(cmd.OutOrStdout(), time.Now())
			}
			return errors.Join(err, s.fault())
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, as the manual describes it")
	return c
}

// A status is how the accounts stand.
type status struct {
	Running  bool                   `json:"running"`           // a daemon does
	Stale    bool                   `json:"stale,omitempty"`   // and has read another configuration
	Warning  string                 `json:"warning,omitempty"` // what is wrong with the daemon itself
	Accounts []daemon.AccountStatus `json:"accounts"`

	fingerprint string // of the configuration
}

// hear takes in an account.
func (s *status) hear(ctx context.Context, e control.Event) (string, error) {
	switch e.Name {
	case daemon.EventRunning:
		return "", s.compare(e)
	case daemon.EventAccount:
	default:
		return refuse(ctx, e)
	}
	var a daemon.AccountStatus
	if err := e.Decode(&a); err != nil {
		return "", err
	}
	s.Accounts = append(s.Accounts, a)
	return "", nil
}

// compare finds out whether the daemon has read the configuration as it is.
func (s *status) compare(e control.Event) error {
	var r daemon.Running
	err := e.Decode(&r)
	s.Stale, s.Warning = r.Fingerprint != s.fingerprint, r.Warning
	return err
}

// bad reports whether somebody should look after a.
func bad(a daemon.AccountStatus) bool {
	return a.Enabled && (a.State != auth.Authorized || slices.ContainsFunc(a.Problems, unsaved))
}

func unsaved(p auth.Problem) bool { return p.Kind == auth.ProblemUnsaved }

// fault is an error if somebody should look after an account, or the daemon.
func (s *status) fault() error {
	n := 0
	for _, a := range s.Accounts {
		if bad(a) {
			n++
		}
	}
	switch {
	case n == 1:
		return fmt.Errorf("1 of %s needs attention", count(len(s.Accounts), "account"))
	case n > 1:
		return fmt.Errorf("%d of %s need attention", n, count(len(s.Accounts), "account"))
	case s.Warning != "":
		return errors.New(s.Warning)
	case !s.Running:
		return errors.New("no daemon runs: no account can be used")
	}
	return nil
}

func (s *status) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	return e.Encode(s)
}
