package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xoauthd/xoauthd/auth"
)

func hashPasswordCommand() *cobra.Command {
	var generate bool
	c := &cobra.Command{
		Use:   "hash-password",
		Short: "Make the password_hash of an account",
		Long: `Make the password_hash of an account, from a password that it asks for or, if
standard input is not a terminal, from the first line of that. The password is
for the mail program and this machine alone: it is not that of the mailbox.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			password := rand.Text()
			if !generate {
				var err error
				if password, err = askPassword(cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			hash, err := auth.HashPassword(password)
			if err != nil {
				return err
			}
			if generate {
				fmt.Fprintf(cmd.OutOrStdout(), "# for the mail program: %s\n", password)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "password_hash = \"%s\"\n", hash)
			return nil
		}),
	}
	c.Flags().BoolVar(&generate, "generate", false, "make a random password too, and print it")
	return c
}

// askPassword reads a password: twice, unseen, from a terminal; once from
// anything else.
func askPassword(in io.Reader, prompts io.Writer) (string, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		first, err := askUnseen(f, prompts, "Password: ")
		if err != nil {
			return "", err
		}
		second, err := askUnseen(f, prompts, "Again: ")
		if err == nil && first != second {
			err = errors.New("the two are not the same; nothing was made")
		}
		return first, err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func askUnseen(f *os.File, prompts io.Writer, prompt string) (string, error) {
	fmt.Fprint(prompts, prompt)
	defer fmt.Fprintln(prompts)
	b, err := term.ReadPassword(int(f.Fd()))
	return string(b), err
}
