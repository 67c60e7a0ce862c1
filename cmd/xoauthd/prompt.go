package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/xoauthd/xoauthd/internal/text"
)

// errGivenUp is the error of a person who answers a question by Ctrl-D or Ctrl-C.
var errGivenUp = errors.New("canceled; nothing was changed")

// maxInput is how much of standard input is taken, in bytes: tokens and the
// addresses of callbacks are shorter.
const maxInput = 32 << 10

// isTerminal reports whether a person types what comes from in.
func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A prompter asks for lines.
type prompter struct {
	in      *bufio.Reader
	prompts io.Writer
}

func newPrompter(in io.Reader, prompts io.Writer) *prompter {
	return &prompter{bufio.NewReaderSize(in, maxInput), prompts}
}

// ask returns the line that a prompt is answered with. When ctx ends, it returns the
// error of ctx, and what is typed afterwards is lost.
func (p *prompter) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(p.prompts, prompt)
	line, err := await(ctx, func() ([]byte, error) { return p.in.ReadSlice('\n') })
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(p.prompts)
		return "", ctx.Err()
	case err == io.EOF && len(line) == 0:
		fmt.Fprintln(p.prompts)
		return "", errGivenUp
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errors.New("the line is too long")
	case err != nil && err != io.EOF:
		return "", err
	}
	return string(line), nil
}

// await returns what read does, or an error once ctx has ended. A read from a
// terminal or a pipe cannot be stopped; it is left behind.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := read()
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// readInput reads what is no terminal, at most one octet more than maxInput.
func readInput(ctx context.Context, in io.Reader) (string, error) {
	b, err := await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, maxInput+1)) })
	if err != nil {
		return "", err
	}
	s, err := text.FromFile(string(b))
	if err != nil {
		return "", fmt.Errorf("standard input %w", err)
	}
	return s, nil
}
