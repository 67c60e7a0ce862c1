package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/xoauthd/xoauthd/auth/authorize"
	"github.com/xoauthd/xoauthd/cmd/internal/control"
)

// writeOutcome writes what came of an authorization, step by step. It returns
// an error if that is not that the account can be used.
func writeOutcome(w io.Writer, e control.Event) error {
	var o authorize.Outcome
	if err := e.Decode(&o); err != nil {
		return err
	}
	for _, s := range o.Steps {
		writeStep(w, s)
	}
	if !o.OK {
		return errors.New(o.Title + "\n" + o.Lead)
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", o.Title, o.Lead)
	return err
}

func writeStep(w io.Writer, s authorize.Step) {
	mark := "ok"
	if !s.OK {
		mark = "failed"
	}
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-8s%s  %s", mark, s.Text, s.Lasted()), " "))
	if s.Cause != "" {
		fmt.Fprintln(w, "        cause: ", s.Cause)
	}
	if s.Hint != "" {
		fmt.Fprintln(w, "        remedy:", s.Hint)
	}
}
