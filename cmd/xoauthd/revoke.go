package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/flow"
)

func revokeCommand(file *string) *cobra.Command {
	var local, yes bool
	c := &cobra.Command{
		Use:   "revoke ACCOUNT",
		Short: "Revoke the grant of an account",
		Long: `Ask the provider to revoke the grant of the mailbox ACCOUNT, delete it, and end the
sessions of the account. A session in which the mail server owes a reply ends when that
reply has come, or after drain_timeout. Programs cannot log in to the account until it
is authorized again. If the provider cannot be reached, the grant is kept.`,
		Args: oneAccount,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			c, account, err := loadAccount(*file, args[0])
			if err != nil {
				return err
			}
			if c.Providers[account.Provider].Flow == flow.AppPassword {
				return fmt.Errorf("nothing to revoke: %s logs in with the password in the configuration, and has no token; "+
					"take the app password back at the provider, or set enabled = false", account.Name)
			}
			if !yes {
				if err := confirm(cmd, "Revoke the grant of "+account.Name+"? [y/N] "); err != nil {
					return err
				}
			}
			return withDaemon(cmd, c, func(ctx context.Context, d connection) error {
				r, err := d.Revoke(ctx, account.Name, api.RevokeRequest{Local: local})
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", describeRevocation(account.Name, r, local), sessionsEnded(r.Sessions))
				}
				return err
			})
		}),
	}
	c.Flags().BoolVar(&local, "local", false, "delete the grant without asking the provider to revoke it")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// confirm asks a question on the terminal. It returns an error unless the answer is yes.
func confirm(cmd *cobra.Command, question string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return errors.New("standard input is not a terminal: use --yes")
	}
	answer, err := newPrompter(cmd.InOrStdin(), cmd.ErrOrStderr()).ask(cmd.Context(), question)
	switch {
	case cmd.Context().Err() != nil:
		return errGivenUp
	case err != nil:
		return err
	}
	if !isYes(answer) {
		return errGivenUp
	}
	return nil
}

// isYes reports whether a question was answered with yes.
func isYes(answer string) bool {
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// sessionsEnded says how many sessions a revocation has ended.
func sessionsEnded(n int) string {
	switch n {
	case 0:
		return "No session of the account was open."
	case 1:
		return "1 session of the account has ended."
	}
	return fmt.Sprintf("%d sessions of the account have ended.", n)
}

// describeRevocation returns the result for a person.
func describeRevocation(account string, r api.Revocation, local bool) string {
	switch {
	case !r.Interactive:
		text := "xoauthd has no access token of " + account
		if r.Deleted {
			text = "xoauthd has deleted the access token of " + account
		}
		return text + "; the next login obtains one by the flow " + string(r.Flow) + ".\n" +
			"To prevent that, set enabled = false in the configuration, or withdraw the permission at " + r.Provider + "."
	case !r.Deleted:
		return account + " has no grant: there was nothing to revoke."
	}
	deleted := "xoauthd has deleted the grant of " + account
	const there = "Revoke the access of this app on its security page for the account."
	var text string
	switch {
	case r.Revoked:
		text = deleted + ", and " + r.Provider + " has revoked it."
	case local:
		text = deleted + ". " + r.Provider + " was not asked to revoke it. " + there
	case r.Revocable:
		text = deleted + ". " + r.Provider + " had nothing to revoke, or does not revoke such grants."
	default:
		text = deleted + ". " + r.Provider + " has no endpoint to revoke it. " + there
	}
	return text + "\nPrograms cannot log in to the account until it is authorized again."
}
