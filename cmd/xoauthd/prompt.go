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

// errGivenUp is the error if a question is answered with no, Ctrl-D or Ctrl-C.
var errGivenUp = errors.New("canceled; nothing was changed")

// maxInput limits standard input, in bytes. Tokens and callback addresses are shorter.
const maxInput = 32 << 10

// isTerminal reports whether in is a terminal.
func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A prompter asks questions on a terminal.
type prompter struct {
	in      *bufio.Reader
	prompts io.Writer
}

func newPrompter(in io.Reader, prompts io.Writer) *prompter {
	return &prompter{bufio.NewReaderSize(in, maxInput), prompts}
}

// ask prints a prompt and returns the line that is typed. When ctx is done, it returns
// the error of ctx, and what is typed afterwards is lost.
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

// await returns the result of read, or the error of ctx when ctx is done. It does not
// stop read: a read from a terminal or a pipe cannot be stopped.
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

// readInput reads to the end of in, but at most maxInput+1 bytes.
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
