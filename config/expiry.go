package config

import (
	"time"

	"github.com/xoauthd/xoauthd/internal/expiry"
)

// date reads a date with an optional time. A date without a time zone is local time.
func (t *table) date(key string) time.Time {
	d, ok := value[time.Time](t, key)
	if !ok {
		return time.Time{}
	}
	switch d.Location().String() { // the toml library encodes the type in the location
	case "time-local":
		t.fault(key, "%s is a time without a date; write a date, such as 2027-05-01", d.Format(time.TimeOnly))
		return time.Time{}
	case "date-local", "datetime-local":
		return time.Date(d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), 0, time.Local)
	}
	return d
}

// warnExpiry warns if what has expired or expires soon. A zero end means no expiry.
func (t *table) warnExpiry(key, what string, end time.Time) {
	switch day := end.Format(time.DateOnly); {
	case !expiry.Soon(end, t.file.now):
	case !t.file.now.Before(end):
		t.file.warn(t.line(key), "%s: the %s expired on %s, so the provider rejects it; register a new one", key, what, day)
	default:
		t.file.warn(t.line(key), "%s: the %s expires on %s; register a new one with the provider before", key, what, day)
	}
}
