package main

import (
	"bufio"
	"context"
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
		Short: "Make the password_hash of an account or a login",
		Long: `Make the password_hash of an account or a login, from a password that it asks for
or, if standard input is not a terminal, from the first line of that. The password
is for the mail program and this machine alone: it is not that of the mailbox.`,
		Args: noArguments,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			password := rand.Text()
			if !generate {
				var err error
				if password, err = askPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			hash, err := auth.HashPassword(password)
			if err != nil {
				return err
			}
			if generate {
				fmt.Fprintf(cmd.ErrOrStderr(), "For the mail program: %s\n", password)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "password_hash = \"%s\"\n", hash)
			return nil
		}),
	}
	c.Flags().BoolVar(&generate, "generate", false, "make a random password too, and print it to standard error")
	return c
}

// errNothing is the error of a person who types no password.
var errNothing = errors.New("nothing was made")

// askPassword reads a password: twice, unseen, from a terminal; once from
// anything else.
func askPassword(ctx context.Context, in io.Reader, prompts io.Writer) (string, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := await(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
		if err != nil && err != io.EOF {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := askUnseen(ctx, f, prompts, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := askUnseen(ctx, f, prompts, "Again: ")
	if err == nil && first != second {
		err = errors.New("the two are not the same; nothing was made")
	}
	return first, err
}

// askUnseen reads a line that the terminal does not show. When ctx is done, by
// Ctrl-C, the terminal is made to show again what is typed.
func askUnseen(ctx context.Context, f *os.File, prompts io.Writer, prompt string) (string, error) {
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(prompts, prompt)
	defer fmt.Fprintln(prompts)
	password, err := await(ctx, func() ([]byte, error) { return term.ReadPassword(int(f.Fd())) })
	switch {
	case ctx.Err() != nil:
		return "", errors.Join(errNothing, term.Restore(int(f.Fd()), before))
	case err == io.EOF:
		return "", errNothing
	}
	return string(password), err
}
