//go:build linux

package soak

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// problems returns what makes the test fail.
func (s *soak) problems() (all []string) {
	for _, protocol := range []string{"smtp", "imap"} {
		c := s.ledger.count(protocol)
		all = append(all, c.problems...)
		if c.accepted == 0 {
			all = append(all, "no message was accepted by "+protocol)
		}
	}
	c := s.ledger.countPOP3(len(s.mail.pop3.all()))
	all = append(all, c.problems...)
	if c.retrieved == 0 {
		all = append(all, "no message was retrieved")
	}
	for _, account := range s.lostGrants {
		all = append(all, "a grant was lost that could be kept: "+account)
	}
	damaged, _ := s.ledger.damages()
	all = append(all, damaged...)
	log, err := os.ReadFile(s.daemon.logFile)
	if err != nil {
		all = append(all, err.Error())
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "panic") || strings.Contains(line, "result=internal") {
			all = append(all, "the log has "+line)
		}
	}
	return all
}

// figures returns the results as a table.
func (s *soak) figures() string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(what string, value any) { fmt.Fprintf(w, "%s\t%v\n", what, value) }
	fmt.Fprintln(w, "\nfault\ttimes\tlongest recovery\twhat recovered last")
	for _, f := range s.faults {
		fmt.Fprintf(w, "%s: %s\t%d\t%v\t%.100s\n", f.group, f.name, f.times, f.slowest.Round(100*time.Millisecond), f.last)
	}
	fmt.Fprintln(w)
	for _, protocol := range []string{"smtp", "imap"} {
		c := s.ledger.count(protocol)
		row("messages sent by "+protocol, c.messages)
		row("  accepted, as the client knows", c.accepted)
		row("  attempts deferred, connections lost", fmt.Sprintf("%d, %d", c.deferred, c.broken))
		row("  lost", c.lost)
		row("  permanent failures", c.refused)
		row("  duplicates: the mail server sent no reply", c.unacknowledged)
		row("  duplicates: SIGKILL before the reply", c.killed)
		row("  duplicates: by xoauthd", c.duplicated)
	}
	damaged, cut := s.ledger.damages()
	row("messages damaged, cut within the text", fmt.Sprintf("%d, %d", len(damaged), cut))
	c := s.ledger.countPOP3(0)
	row("messages retrieved, deleted by pop3", fmt.Sprintf("%d, %d", c.retrieved, c.deleted))
	row("  lost, deleted in vain, or retrieved again", len(c.problems))
	for _, client := range s.clients {
		row("sessions of "+client.name, client.count())
	}
	row("tokens refreshed", s.provider.refreshes.Load())
	for _, why := range slices.Sorted(maps.Keys(s.reauthorized)) {
		row("grants lost, unavoidably: "+why, s.reauthorized[why])
	}
	row("grants lost that could be kept", len(s.lostGrants))
	row("before the load", s.before)
	row("at most during it", s.peak)
	row("after the load", s.after)
	w.Flush()
	return b.String()
}
