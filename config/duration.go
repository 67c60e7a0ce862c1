package config

import (
	"strconv"
	"strings"
	"time"
)

// duration reads a duration. It has a unit: an integer would leave the reader
// to guess which.
func (t *table) duration(key string, def, least, most time.Duration) time.Duration {
	if n, bare := t.values[key].(int64); bare {
		t.asked = append(t.asked, key)
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
		t.fault(key, `%q is not a duration, which is a number with a unit: "90s", "31m" or "1h"`, s)
	case d < least || d > most:
		t.fault(key, "%s is not between %s and %s", s, brief(least), brief(most))
	default:
		t.noteDefault(key, d == def)
		return d
	}
	return def
}

// brief writes 31m for what package time writes 31m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
