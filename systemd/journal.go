package systemd

import "github.com/coreos/go-systemd/v22/journal"

// UnderJournal reports whether standard error is a stream of journald, which
// gives every line a time of its own. A $JOURNAL_STREAM that cannot be read is
// taken as no: a line with two times is better than one without.
func UnderJournal() bool {
	under, err := journal.StderrIsJournalStream()
	return under && err == nil
}
