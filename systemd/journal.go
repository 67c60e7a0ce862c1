package systemd

import "github.com/coreos/go-systemd/v22/journal"

// UnderJournal reports whether standard error is connected to journald, which adds a
// timestamp to every line. It reports false if $JOURNAL_STREAM is invalid: a line
// with two timestamps is better than a line with none.
func UnderJournal() bool {
	under, err := journal.StderrIsJournalStream()
	return under && err == nil
}
