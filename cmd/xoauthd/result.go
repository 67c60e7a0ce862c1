package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/step"
)

// printResult prints the steps and the result of an authorization. It returns an error if
// the account cannot be used.
func printResult(w io.Writer, r *authorize.Result) error {
	for _, s := range r.Steps {
		if err := step.Print(w, s); err != nil {
			return err
		}
	}
	if !r.OK {
		return errors.New(r.Title + "\n" + r.Lead)
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", r.Title, r.Lead)
	return err
}

// replaceUsage describes --yes of authorize and grant import.
const replaceUsage = "replace an authorization that opens more without asking"

// confirmReplacing prints why an authorization opens less than the present one, and asks
// p whether to replace that one. It does not ask if yes is set. If p is nil, standard
// input is not a terminal.
func confirmReplacing(ctx context.Context, w io.Writer, p *prompter, yes bool, r *authorize.Result) (api.Answer, error) {
	for _, s := range r.Steps {
		if !s.Passed() {
			step.Print(w, s)
		}
	}
	fmt.Fprintf(w, "%s\n%s\n", r.Title, r.Lead)
	if yes {
		return api.Answer{Replace: true}, nil
	}
	if p == nil {
		return api.Answer{}, errors.New("standard input is not a terminal: use --yes to replace the present authorization. Nothing was changed")
	}
	answer, err := p.ask(ctx, "Replace it? [y/N] ")
	return api.Answer{Replace: isYes(answer)}, err
}
