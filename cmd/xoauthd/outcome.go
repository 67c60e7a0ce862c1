package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/internal/control"
	"github.com/xoauthd/xoauthd/internal/daemon"
	"github.com/xoauthd/xoauthd/internal/step"
)

// writeOutcome prints the steps and the result of an authorization. It returns an error
// if the account cannot be used.
func writeOutcome(w io.Writer, e control.Event) error {
	var o authorize.Result
	if err := e.Decode(&o); err != nil {
		return err
	}
	for _, s := range o.Steps {
		if err := step.Print(w, s); err != nil {
			return err
		}
	}
	if !o.OK {
		return errors.New(o.Title + "\n" + o.Lead)
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", o.Title, o.Lead)
	return err
}

// replaceUsage describes --yes of authorize and grant import.
const replaceUsage = "replace an authorization that opens more without asking"

// confirmReplacing prints why an authorization opens less than the present one, and asks
// p whether to replace that one. It does not ask if yes is set. If p is nil, standard
// input is not a terminal.
func confirmReplacing(ctx context.Context, w io.Writer, p *prompter, yes bool, e control.Event) (string, error) {
	var o authorize.Result
	if err := e.Decode(&o); err != nil {
		return "", err
	}
	for _, s := range o.Steps {
		if !s.Passed() {
			step.Print(w, s)
		}
	}
	fmt.Fprintf(w, "%s\n%s\n", o.Title, o.Lead)
	if yes {
		return daemon.AnswerReplace, nil
	}
	if p == nil {
		return "", errors.New("standard input is not a terminal: use --yes to replace the present authorization. Nothing was changed")
	}
	answer, err := p.ask(ctx, "Replace it? [y/N] ")
	if err == nil && isYes(answer) {
		return daemon.AnswerReplace, nil
	}
	return "", err
}
