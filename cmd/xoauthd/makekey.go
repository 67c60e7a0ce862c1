package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/internal/storekey"
)

func makeKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "make-key",
		Short: "Make a key to encrypt grants with",
		Long: `Make a random key for key_file, key_env or key_credential of [store], and print
it on one line. Its id, by which logs and messages name it, goes to standard
error.`,
		Args: noArguments,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			text := storekey.New()
			keys, err := store.ParseKeys(text)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
				return err // the key may be incomplete
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The id of this key is %s.\n", keys[0].ID())
			return nil
		}),
	}
}
