package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// errGivenUp is of somebody who would rather not, by Ctrl-D.
var errGivenUp = errors.New("given up; nothing was changed")

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

// ask returns the line that a prompt is answered with. It waits no longer than
// ctx; what is typed then is lost.
func (p *prompter) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(p.prompts, prompt)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := p.in.ReadSlice('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		switch {
		case a.err == io.EOF && len(a.line) == 0:
			fmt.Fprintln(p.prompts)
			return "", errGivenUp
		case errors.Is(a.err, bufio.ErrBufferFull):
			return "", errors.New("the line is too long")
		case a.err != nil && a.err != io.EOF:
			return "", a.err
		}
		return string(a.line), nil
	case <-ctx.Done():
		fmt.Fprintln(p.prompts)
		return "", ctx.Err()
	}
}
