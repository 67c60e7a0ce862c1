//go:build linux

package soak

import (
	"testing"
	"time"
)

// TestVerdict checks how the ledger classifies messages.
func TestVerdict(t *testing.T) {
	now := time.Now()
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	replied := func(second int) *delivery { return &delivery{at(second), at(second)} }
	silent := func(second int) *delivery { return &delivery{stored: at(second)} }
	tries := func(outcomes ...outcome) (all []attempt) {
		for _, o := range outcomes {
			all = append(all, attempt{outcome: o})
		}
		return all
	}
	for _, test := range []struct {
		name     string
		kills    []time.Time
		message  message
		of       func(count) int
		problems int
	}{
		{"accepted and stored", nil, message{attempts: tries(accepted), deliveries: []*delivery{replied(1)}},
			func(c count) int { return c.accepted }, 0},
		{"accepted and not stored", nil, message{attempts: tries(accepted)},
			func(c count) int { return c.lost }, 1},
		{"deferred, then accepted", nil, message{attempts: tries(deferred, accepted), deliveries: []*delivery{replied(1)}},
			func(c count) int { return c.deferred }, 0},
		{"sent again without a reply", nil, message{attempts: tries(broken, accepted), deliveries: []*delivery{silent(1), replied(2)}},
			func(c count) int { return c.unacknowledged }, 0},
		{"sent again after a kill", []time.Time{at(1)}, message{attempts: tries(broken, accepted), deliveries: []*delivery{replied(1), replied(5)}},
			func(c count) int { return c.killed }, 0},
		{"sent again, and a kill came later", []time.Time{at(4)}, message{attempts: tries(broken, accepted), deliveries: []*delivery{replied(1), replied(5)}},
			func(c count) int { return c.duplicated }, 1},
		{"sent again for no reason", nil, message{attempts: tries(deferred, accepted), deliveries: []*delivery{replied(1), replied(2)}},
			func(c count) int { return c.duplicated }, 1},
		{"refused", nil, message{attempts: tries(refused)},
			func(c count) int { return c.refused }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger()
			l.kills = test.kills
			test.message.protocol = "smtp"
			l.messages = append(l.messages, &test.message)
			c := l.count("smtp")
			if test.of(c) != 1 || len(c.problems) != test.problems {
				t.Errorf("the verdict is %+v", c)
			}
		})
	}
}

// TestArrival checks that the ledger knows the messages that were sent.
func TestArrival(t *testing.T) {
	l := newLedger()
	number := l.add("smtp")
	if l.store(text(number)) == nil || len(l.messages[number].deliveries) != 1 {
		t.Error("a message that was sent is not known")
	}
	for _, other := range []string{text(number + 1), "x" + text(number)} {
		if l.store(other) != nil {
			t.Errorf("this was not sent: %.100q", other)
		}
	}
	if len(l.damaged) != 2 {
		t.Errorf("damaged: %q", l.damaged)
	}
	if l.store(text(number)[:60]) != nil || l.cut != 1 {
		t.Error("part of a message is taken for one")
	}
}

// TestRetrievalVerdict checks how the ledger classifies retrievals.
func TestRetrievalVerdict(t *testing.T) {
	for _, test := range []struct {
		name     string
		r        retrieval
		problems int
	}{
		{"retrieved, deleted, confirmed", retrieval{retrieved: true, deleted: true, confirmed: true}, 0},
		{"retrieved, deleted, not confirmed", retrieval{retrieved: true, deleted: true}, 0},
		{"deleted before it was retrieved", retrieval{deleted: true}, 1},
		{"confirmed and not deleted", retrieval{retrieved: true, confirmed: true}, 1},
		{"retrieved again", retrieval{retrieved: true, deleted: true, confirmed: true, again: true}, 1},
	} {
		l := newLedger()
		l.pop3["uid1"] = &test.r
		if c := l.countPOP3(0); len(c.problems) != test.problems {
			t.Errorf("%s: %q", test.name, c.problems)
		}
	}
	if c := newLedger().countPOP3(1); len(c.problems) != 1 {
		t.Errorf("a message is left: %q", c.problems)
	}
}
