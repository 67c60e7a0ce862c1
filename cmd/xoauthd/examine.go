package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/api"
	"github.com/xoauthd/xoauthd/internal/doctor"
	"github.com/xoauthd/xoauthd/internal/step"
)

// An examiner checks an account and reports each step as it ends. An error means that
// the check is incomplete.
type examiner func(account string, report func(step.Step)) error

// atDaemon returns an examiner that lets the daemon check an account.
func atDaemon(cmd *cobra.Command, c *config.Config, sendTo string) examiner {
	return func(account string, report func(step.Step)) error {
		return withDaemon(cmd, c, func(ctx context.Context, d connection) error {
			if d.status.Fingerprint != c.Fingerprint {
				report(step.Step{Name: "configuration file", Outcome: step.Warning,
					Cause: c.File + " has changed since the daemon read it", Remedy: "Restart the daemon. The next steps are those of the earlier configuration."})
			}
			return d.Check(ctx, account, api.CheckRequest{SendTo: sendTo}, report)
		})
	}
}

// examine prints the check of an account: as text, each step when it ends, or as one
// JSON object. It returns an error if a step failed or was skipped.
func examine(w io.Writer, account string, asJSON bool, ask examiner) error {
	r := doctor.NewReport(account)
	var unwritten error
	err := ask(account, func(s step.Step) {
		r.Add(s)
		if !asJSON && unwritten == nil {
			unwritten = step.Print(w, s)
		}
	})
	switch {
	case err != nil:
		return err
	case asJSON:
		e := json.NewEncoder(w)
		e.SetIndent("", "\t")
		e.SetEscapeHTML(false)
		unwritten = e.Encode(r)
	case unwritten == nil:
		_, unwritten = fmt.Fprintln(w, r.Verdict())
	}
	if unwritten != nil {
		return unwritten
	}
	if !r.OK {
		return fmt.Errorf("check of %s failed", account)
	}
	return nil
}
