package text

import (
	"testing"
	"time"
)

func TestCount(t *testing.T) {
	for want, n := range map[string]int{"0 mailboxes": 0, "1 mailbox": 1, "2 mailboxes": 2} {
		if got := Count(n, "mailbox"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Count(int64(3), "account"); got != "3 accounts" {
		t.Error(got)
	}
}

func TestSpan(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Hour:              "0 seconds",
		time.Second:             "1 second",
		time.Minute - 1:         "59 seconds",
		2*time.Hour - 1:         "119 minutes",
		2 * time.Hour:           "2 hours",
		2*day - time.Nanosecond: "47 hours",
		2 * day:                 "2 days",
		400*day - time.Second:   "399 days",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSince(t *testing.T) {
	now := time.Now()
	for d, want := range map[time.Duration]string{
		0:                 "just now",
		-59 * time.Second: "just now",
		-time.Minute:      "1 minute ago",
		90 * time.Minute:  "in 90 minutes",
		-2 * time.Hour:    "2 hours ago",
		47 * time.Hour:    "in 47 hours",
		time.Minute:       "in 1 minute",
		59 * time.Second:  "in less than a minute",
		-48 * time.Hour:   "2 days ago",
	} {
		if got := Since(now.Add(d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestLeft(t *testing.T) {
	now := time.Now()
	for d, want := range map[time.Duration]string{
		-time.Second:      "expired",
		0:                 "expired",
		time.Second:       "less than a minute left",
		time.Minute:       "1 minute left",
		119 * time.Second: "1 minute left",
		15 * time.Minute:  "15 minutes left",
		3 * time.Hour:     "3 hours left",
	} {
		if got := Left(now.Add(d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
