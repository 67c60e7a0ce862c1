package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/xoauthd/xoauthd/cmd/internal/doctor"
)

// An examiner has an account examined, and reports each step as it is done. An
// error means that the examination did not come to its end.
type examiner func(ctx context.Context, account string, report func(doctor.Step)) error

// examine shows how the examination of an account goes: as text, each step as
// it comes, or as one JSON object. The error says so if the account is not well.
func examine(ctx context.Context, w io.Writer, account string, asJSON bool, ask examiner) error {
	r := doctor.NewReport(account)
	var unwritten error
	err := ask(ctx, account, func(s doctor.Step) {
		r.Add(s)
		if !asJSON && unwritten == nil {
			unwritten = doctor.Print(w, s)
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
		return fmt.Errorf("%s is not well", account)
	}
	return nil
}
