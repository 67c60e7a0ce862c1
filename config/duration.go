package config

import (
	"strconv"
	"strings"
	"time"
)

// duration reads a duration, which must have a unit: an integer would be ambiguous.
func (t *table) duration(key string, def, lowest, highest time.Duration) time.Duration {
	if n, bare := t.values[key].(int64); bare {
		t.seen = append(t.seen, key)
		t.fault(key, `%d has no unit: write "%ds" for seconds`, n, n)
		return def
	}
	s := t.text(key, "")
	if s == "" {
		return def
	}
	d, err := time.ParseDuration(s)
	_, bare := strconv.Atoi(s)
	switch {
	case bare == nil && s != "0":
		t.fault(key, `%s has no unit: write "%ss" for seconds`, s, s)
	case err != nil:
		t.fault(key, `%q is not a duration; write a number with a unit, such as "90s", "31m" or "1h"`, s)
	case d < lowest || d > highest:
		t.fault(key, "%s is not between %s and %s", s, formatDuration(lowest), formatDuration(highest))
	default:
		t.noteDefault(key, d == def)
		return d
	}
	return def
}

// formatDuration formats d without zero units: 31m instead of 31m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
