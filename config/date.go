package config

import "time"

// date reads a date, with or without a time of the day. If it has no zone, that
// of this machine is meant.
func (t *table) date(key string) time.Time {
	d, ok := value[time.Time](t, key)
	if !ok {
		return time.Time{}
	}
	switch d.Location().String() { // by which toml tells its kinds apart
	case "time-local":
		t.fault(key, "%s is a time of any day; write a date: 2027-05-01", d.Format(time.TimeOnly))
		return time.Time{}
	case "date-local", "datetime-local":
		return time.Date(d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), 0, time.Local)
	}
	return d
}

// notice is how long before the end of a secret or a certificate it is warned
// of: whoever must ask an administrator for another has a month.
const notice = 30 * 24 * time.Hour

// expires warns of what has ended, or soon will.
func (t *table) expires(key, what string, end time.Time) {
	left := end.Sub(t.file.now)
	switch day := end.Format(time.DateOnly); {
	case end.IsZero() || left > notice:
	case left <= 0:
		t.file.warn(t.line(key), "%s: the %s has expired, and the provider has refused it since %s: register another there", key, what, day)
	default:
		t.file.warn(t.line(key), "%s: the %s expires on %s: register another with the provider before", key, what, day)
	}
}
