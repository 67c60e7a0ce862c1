package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/xoauthd/xoauthd/auth"
	"github.com/xoauthd/xoauthd/cmd/internal/daemon"
)

// write writes a table, and below it what is wrong.
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
		if !troubled(a) {
			continue
		}
		fmt.Fprintf(w, "\n%s: %s\n", a.Account, a.Why)
		for _, help := range []string{a.Hint, a.How} {
			if help != "" {
				fmt.Fprintf(w, "  %s\n", help)
			}
		}
	}
	return nil
}

// A row is an account, or the mailboxes of a pattern of which there is no more to
// tell than of the first.
type row struct {
	daemon.AccountStatus
	state, token string
	mailboxes    int
}

func (r *row) name() string {
	if r.mailboxes == 1 {
		return r.Account
	}
	return fmt.Sprintf("%s (%d mailboxes)", r.Pattern, r.mailboxes)
}

// rows are those of all accounts, in their order. A pattern may have thousands of
// mailboxes, among which a line about one that fails would be lost.
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

// join makes r the row of one more mailbox.
func (r *row) join(other *row) {
	r.mailboxes++
	if r.token != other.token {
		r.token = "various"
	}
}

// troubled reports whether there is something to tell of a.
func troubled(a daemon.AccountStatus) bool { return a.Enabled && a.Why != "" }

// shownState is the state of a in one word. One that needs no person is ready
// before it has ever got a token.
func shownState(a daemon.AccountStatus) string {
	switch {
	case !a.Enabled:
		return "disabled"
	case a.State == auth.Authorized && a.Consented.IsZero() && a.Refreshed.IsZero():
		return "ready"
	}
	return string(a.State)
}

// shownToken tells until when the token of a is good, unless nobody wants it any
// more.
func shownToken(a daemon.AccountStatus, now time.Time) string {
	if a.State == auth.NeedsAuthorization {
		return "none"
	}
	return life(a.Expiry, now)
}

// life tells until when a token is good, in the local time, which it names: who
// reads it may live by another.
func life(expiry, now time.Time) string {
	switch {
	case expiry.IsZero():
		return "none"
	case !now.Before(expiry):
		return "expired"
	}
	expiry = expiry.Local()
	if expiry.Format(time.DateOnly) == now.Local().Format(time.DateOnly) {
		return "until " + expiry.Format("15:04 MST")
	}
	return "until " + expiry.Format("2006-01-02 15:04 MST")
}
