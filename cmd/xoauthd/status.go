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
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/text"
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
runs. Without a daemon, the command reads the state of the accounts from their files.
docs/monitoring.md says when an account is failing.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("name one account, or none for all")
			}
			return nil
		},
		RunE: action(func(cmd *cobra.Command, args []string) error {
			c, err := load(*file)
			if err != nil {
				return err
			}
			name := ""
			if len(args) == 1 {
				account, err := find(c, args[0])
				if err != nil {
					return err
				}
				name = account.Name
			}
			var s status
			err = withDaemon(cmd, c, func(ctx context.Context, d connection) error {
				s = status{Running: d.status.Running, Stale: d.status.Fingerprint != c.Fingerprint, Warning: d.status.Warning}
				return s.read(ctx, d, name)
			})
			if err != nil {
				return err
			}
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

// A status is the state of the daemon and of accounts.
type status struct {
	Running  bool          `json:"running"`           // a daemon runs
	Stale    bool          `json:"stale,omitempty"`   // it has read another configuration
	Warning  string        `json:"warning,omitempty"` // what is wrong with the daemon itself
	Accounts []api.Account `json:"accounts"`
}

// read reads the state of an account, or of all if name is empty.
func (s *status) read(ctx context.Context, d connection, name string) (err error) {
	if name == "" {
		s.Accounts, err = d.Accounts(ctx)
		return err
	}
	a, err := d.Account(ctx, name)
	s.Accounts = []api.Account{a}
	return err
}

// bad reports whether a needs attention.
func bad(a api.Account) bool {
	return a.Enabled && (a.State != auth.Authorized || slices.ContainsFunc(a.Problems, unsaved))
}

func unsaved(p auth.Problem) bool { return p.Kind == auth.ProblemUnsaved }

// fault returns an error if an account or the daemon needs attention.
func (s *status) fault() error {
	n := 0
	for _, a := range s.Accounts {
		if bad(a) {
			n++
		}
	}
	switch {
	case n == 1:
		return fmt.Errorf("1 of %s needs attention", text.Count(len(s.Accounts), "account"))
	case n > 1:
		return fmt.Errorf("%d of %s need attention", n, text.Count(len(s.Accounts), "account"))
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
