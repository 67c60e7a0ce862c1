package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/internal/api"
)

// write prints the table of accounts, and the problems below it.
func (s *status) write(w io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ACCOUNT\tPROVIDER\tFLOW\tSTATE\tTOKEN")
	for _, r := range s.rows(now) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.name(), r.Provider, r.Flow, r.state, r.token)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, a := range s.Accounts {
		if troubled(a) {
			writeProblems(w, a, now)
		}
	}
	if s.Warning != "" {
		fmt.Fprintf(w, "\n%s\n", s.Warning)
	}
	return nil
}

// writeProblems prints the problems of an account and their remedies.
func writeProblems(w io.Writer, a api.Account, now time.Time) {
	fmt.Fprintln(w)
	for _, p := range a.Problems {
		fmt.Fprintf(w, "%s: %s\n", a.Name, p.Text)
		for _, line := range []string{occurred(p, now), p.Hint} {
			if line != "" {
				fmt.Fprintf(w, "  %s\n", line)
			}
		}
	}
	if a.How != "" {
		fmt.Fprintf(w, "  %s\n", a.How)
	}
}

// occurred says when a problem occurred, and how often.
func occurred(p auth.Problem, now time.Time) string {
	switch {
	case p.Since.IsZero():
		return ""
	case p.Count < 2:
		return "at " + moment(p.Last, now)
	}
	return fmt.Sprintf("%d times since %s, the last at %s", p.Count, moment(p.Since, now), moment(p.Last, now))
}

// A row is an account, or several mailboxes of a pattern without problems.
type row struct {
	api.Account
	state, token string
	mailboxes    int
}

func (r *row) name() string {
	if r.mailboxes == 1 {
		return r.Name
	}
	return fmt.Sprintf("%s (%d mailboxes)", r.Pattern, r.mailboxes)
}

// rows returns the rows of the table. A pattern may have thousands of mailboxes: those
// without problems share a row, so that the others stand out.
func (s *status) rows(now time.Time) []*row {
	type group struct{ pattern, state string }
	groups := make(map[group]*row)
	var rows []*row
	for _, a := range s.Accounts {
		r := &row{a, shownState(a), shownToken(a, now), 1}
		if a.Pattern != "" && !troubled(a) {
			g := group{a.Pattern, r.state}
			if first := groups[g]; first != nil {
				first.join(r)
				continue
			}
			groups[g] = r
		}
		rows = append(rows, r)
	}
	return rows
}

// join adds a mailbox to the row.
func (r *row) join(other *row) {
	r.mailboxes++
	if r.token != other.token {
		r.token = "various"
	}
}

// troubled reports whether an enabled account has a problem.
func troubled(a api.Account) bool { return a.Enabled && len(a.Problems) > 0 }

// shownState returns the state of an account in a word or two. An account without a
// token that needs no person is "ready".
func shownState(a api.Account) string {
	switch {
	case !a.Enabled:
		return "disabled"
	case a.State == auth.Authorized && a.Obtained.IsZero() && a.Refreshed.IsZero():
		return "ready"
	case a.State == auth.Failing:
		return "failing" + failingBy(a.Problems)
	}
	return string(a.State)
}

// failingBy names the failing protocols, unless the provider or the store is failing.
func failingBy(problems []auth.Problem) string {
	var protocols []string
	for _, p := range problems {
		switch {
		case p.Failing && (p.Part == auth.PartProvider || p.Part == auth.PartStore):
			return ""
		case p.Failing:
			protocols = append(protocols, strings.ToUpper(p.Part))
		}
	}
	if len(protocols) == 0 {
		return ""
	}
	return " (" + strings.Join(protocols, ", ") + ")"
}

// shownToken says until when the access token is valid.
func shownToken(a api.Account, now time.Time) string {
	if a.State == auth.NeedsAuthorization {
		return "none"
	}
	return life(a.Expiry, now)
}

// life says until when a token is valid.
func life(expiry, now time.Time) string {
	switch {
	case expiry.IsZero():
		return "none"
	case !now.Before(expiry):
		return "expired"
	}
	return "until " + moment(expiry, now)
}

// moment formats t in local time, without the date if that is today.
func moment(t, now time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) == now.Local().Format(time.DateOnly) {
		return t.Format("15:04 MST")
	}
	return t.Format("2006-01-02 15:04 MST")
}
