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
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/internal/text"
)

// minPassword is the minimum length of a password in characters, without
// --allow-short.
const minPassword = 8

func hashPasswordCommand() *cobra.Command {
	var generate, allowShort bool
	c := &cobra.Command{
		Use:   "hash-password",
		Short: "Hash the password of an account or a login",
		Long: `Print the password_hash of an account or a login. The command asks for the password
or, if standard input is not a terminal, reads its first line. The mail program uses
this password; it is not the password of the mailbox. It has at least 8 characters.
With --generate, the command makes a random one.`,
		Args: noArguments,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			secret := rand.Text()
			if !generate {
				shortest := minPassword
				if allowShort {
					shortest = 1
				}
				var err error
				if secret, err = askPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), shortest); err != nil {
					return err
				}
			}
			hash, err := password.Hash(secret)
			if err != nil {
				return err
			}
			if generate {
				fmt.Fprintf(cmd.ErrOrStderr(), "For the mail program: %s\n", secret)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "password_hash = \"%s\"\n", hash)
			return nil
		}),
	}
	c.Flags().BoolVar(&generate, "generate", false, "make a random password, and print it to standard error")
	c.Flags().BoolVar(&allowShort, "allow-short", false, "accept a password of fewer than 8 characters")
	c.MarkFlagsMutuallyExclusive("generate", "allow-short")
	return c
}

// errNothing is the error if no password is typed.
var errNothing = errors.New("nothing was written")

// askPassword reads a password of at least shortest characters: twice without echo
// from a terminal, once from other input.
func askPassword(ctx context.Context, in io.Reader, prompts io.Writer, shortest int) (string, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := await(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
		if err != nil && err != io.EOF {
			return "", err
		}
		if line, err = text.FromFile(line); err != nil {
			return "", fmt.Errorf("the password %w", err)
		}
		password := strings.TrimRight(line, "\r\n")
		return password, checkLength(password, shortest)
	}
	first, err := askUnseen(ctx, f, prompts, "Password: ")
	if err == nil {
		err = checkLength(first, shortest)
	}
	if err != nil {
		return "", err
	}
	second, err := askUnseen(ctx, f, prompts, "Again: ")
	if err == nil && first != second {
		err = errors.New("the two passwords differ; nothing was written")
	}
	return first, err
}

// checkLength returns an error for a password with fewer than shortest characters.
func checkLength(password string, shortest int) error {
	switch n := utf8.RuneCountInString(password); {
	case n == 0:
		return errors.New("the password is empty; nothing was written")
	case n < shortest:
		return fmt.Errorf("the password has %s; the minimum is %d: use a longer one, or \"xoauthd hash-password --generate\"; if a device accepts no longer one, use --allow-short", text.Count(n, "character"), shortest)
	}
	return nil
}

// askUnseen reads a line from a terminal without echo. When ctx is done, it restores
// the echo.
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
