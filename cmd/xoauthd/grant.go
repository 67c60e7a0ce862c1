package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/daemon"
)

func grantCommand(file *string) *cobra.Command {
	c := &cobra.Command{
		Use:                   "grant",
		Short:                 "Import a grant of another program",
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("missing subcommand: xoauthd grant import alice@example.com")
			}
			return fmt.Errorf("unknown subcommand %q: xoauthd grant import alice@example.com", args[0])
		},
	}
	c.AddCommand(importCommand(file))
	return c
}

func importCommand(file *string) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "import ACCOUNT",
		Short: "Import a refresh token of another program",
		Long: `Import a refresh token of another program for the mailbox ACCOUNT. The command asks
for it or, if standard input is not a terminal, reads it from there: the token
alone, or as refresh_token of a JSON object, as mutt_oauth2.py, sasl-xoauth2, rclone
and most others store it.

The provider must have issued it to the client_id of the configuration. xoauthd keeps
it if the mailbox opens. The other program must not use it any more: a provider that
rotates refresh tokens takes an old one for stolen, and revokes the grant.`,
		Args: oneAccount,
		RunE: action(func(cmd *cobra.Command, args []string) error {
			c, account, err := loadAccount(*file, args[0])
			if err != nil {
				return err
			}
			if err := daemon.CanAuthorize(c.Providers[account.Provider], account); err != nil {
				return err
			}
			return withDaemon(cmd, c, func(ctx context.Context, d connection) error {
				if _, err := d.Account(ctx, account.Name); err != nil { // before a person is asked
					return err
				}
				token, err := askToken(ctx, cmd.InOrStdin(), cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				return d.Import(ctx, account.Name, api.ImportRequest{RefreshToken: token}, func(ctx context.Context, e api.Event) (api.Answer, error) {
					switch {
					case e.Confirm != nil:
						var p *prompter
						if isTerminal(cmd.InOrStdin()) {
							p = newPrompter(cmd.InOrStdin(), cmd.ErrOrStderr())
						}
						return confirmReplacing(ctx, cmd.OutOrStdout(), p, yes, e.Confirm)
					case e.Result != nil:
						return api.Answer{}, printResult(cmd.OutOrStdout(), e.Result)
					}
					return api.Answer{}, api.ErrUnexpected
				})
			})
		}),
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, replaceUsage)
	return c
}

// askToken reads a refresh token: from a terminal without echo, from other input to the
// end.
func askToken(ctx context.Context, in io.Reader, prompts io.Writer) (string, error) {
	if isTerminal(in) {
		text, err := askUnseen(ctx, in.(*os.File), prompts, "Refresh token: ")
		switch {
		case ctx.Err() != nil: // the daemon reports why
			return "", ctx.Err()
		case errors.Is(err, errNothing):
			return "", errGivenUp
		case err != nil:
			return "", err
		}
		return refreshToken(text)
	}
	text, err := readInput(ctx, in)
	if err != nil {
		return "", err
	}
	return refreshToken(text)
}

// refreshToken returns the refresh token in text. Its errors show no part of text.
func refreshToken(text string) (string, error) {
	if len(text) > maxInput {
		return "", fmt.Errorf("more than %d bytes: no refresh token is that long", maxInput)
	}
	token := strings.TrimSpace(text)
	if strings.HasPrefix(token, "{") {
		var f struct {
			RefreshToken string `json:"refresh_token"`
		}
		if json.Unmarshal([]byte(token), &f) != nil {
			return "", errors.New("this looks like JSON, but is not an object with a string refresh_token")
		}
		if token = f.RefreshToken; token == "" {
			return "", errors.New("the JSON object has no refresh_token")
		}
	}
	switch {
	case token == "":
		return "", errors.New("there is no refresh token on standard input")
	case strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return "", errors.New("this is more than a refresh token: enter the token alone, or a JSON object with refresh_token")
	}
	return token, nil
}
