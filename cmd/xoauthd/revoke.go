package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/internal/control"
	"github.com/xoauthd/xoauthd/internal/daemon"
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
			c, err := load(*file)
			if err != nil {
				return err
			}
			account, err := find(c, args[0])
			if err != nil {
				return err
			}
			if c.Providers[account.Provider].Flow == "app_password" {
				return fmt.Errorf("nothing to revoke: %s logs in with the password in the configuration, and has no token; "+
					"take the app password back at the provider, or set enabled = false", account.Name)
			}
			if !yes {
				if err := confirm(cmd, "Revoke the grant of "+account.Name+"? [y/N] "); err != nil {
					return err
				}
			}
			r := control.Request{Command: daemon.CommandRevoke, Account: account.Name}
			if local {
				r.Command = daemon.CommandForget
			}
			_, err = perform(cmd, c, r, func(ctx context.Context, e control.Event) (string, error) {
				if e.Name != daemon.EventForgotten {
					return refuse(ctx, e)
				}
				var f daemon.Forgotten
				if err := e.Decode(&f); err != nil {
					return "", err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", forgotten(account.Name, f, local), sessionsEnded(f.Sessions))
				return "", err
			})
			return err
		}),
	}
	c.Flags().BoolVar(&local, "local", false, "only forget it here, without a word to the provider")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// confirm asks a person, and only a person.
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

// forgotten returns the result for a person.
func forgotten(account string, f daemon.Forgotten, local bool) string {
	switch {
	case !f.Attended:
		text := "xoauthd has no access token of " + account
		if f.Had {
			text = "xoauthd has deleted the access token of " + account
		}
		return text + "; the next login obtains one by the flow " + f.Flow + ".\n" +
			"To prevent that, set enabled = false in the configuration, or withdraw the permission at " + f.Provider + "."
	case !f.Had:
		return account + " has no grant: there was nothing to revoke."
	}
	deleted := "xoauthd has deleted the grant of " + account
	const there = "Revoke the access of this app on its security page for the account."
	var text string
	switch {
	case f.Told:
		text = deleted + ", and " + f.Provider + " has revoked it."
	case local:
		text = deleted + ". " + f.Provider + " was not asked to revoke it. " + there
	case f.Endpoint:
		text = deleted + ". " + f.Provider + " had nothing to revoke, or does not revoke such grants."
	default:
		text = deleted + ". " + f.Provider + " has no endpoint to revoke it. " + there
	}
	return text + "\nPrograms cannot log in to the account until it is authorized again."
}
