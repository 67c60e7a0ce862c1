//go:build linux

package soak

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// metrics returns the values of all metrics, by name and labels as they are shown.
func (d *daemon) metrics() (map[string]float64, error) {
	page, err := d.get("/metrics")
	all := make(map[string]float64)
	for line := range strings.Lines(page) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64); err == nil {
			all[line[:i]] = value
		}
	}
	return all, err
}

// A usage is the daemon's use of resources.
type usage struct {
	descriptors, goroutines, sessions int
	memory                            int // MiB, resident
}

func (u usage) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, %d sessions, %d MiB", u.descriptors, u.goroutines, u.sessions, u.memory)
}

func usageOf(metrics map[string]float64) usage {
	u := usage{
		descriptors: int(metrics["process_open_fds"]),
		goroutines:  int(metrics["go_goroutines"]),
		memory:      int(metrics["process_resident_memory_bytes"]) >> 20,
	}
	for name, value := range metrics {
		if strings.HasPrefix(name, "xoauthd_active_sessions{") {
			u.sessions += int(value)
		}
	}
	return u
}

func (d *daemon) usage(t *testing.T) usage {
	t.Helper()
	metrics, err := d.metrics()
	must(t, err)
	u := usageOf(metrics)
	if u.descriptors == 0 || u.goroutines == 0 || u.memory == 0 {
		t.Fatalf("the metrics do not tell what the daemon takes up: %v", u)
	}
	return u
}

func (u usage) most(v usage) usage {
	return usage{
		descriptors: max(u.descriptors, v.descriptors),
		goroutines:  max(u.goroutines, v.goroutines),
		sessions:    max(u.sessions, v.sessions),
		memory:      max(u.memory, v.memory),
	}
}

// The growth that is allowed: kept connections to the provider, and memory that the
// runtime has not returned yet.
const (
	spareDescriptors = 8
	spareGoroutines  = 12
	spareMemory      = 48 // MiB
)

// beyond describes growth beyond what is allowed; "" is none.
func (u usage) beyond(before usage) string {
	if u.sessions > 0 || u.descriptors > before.descriptors+spareDescriptors ||
		u.goroutines > before.goroutines+spareGoroutines || u.memory > before.memory+spareMemory {
		return fmt.Sprintf("before: %v; now: %v", before, u)
	}
	return ""
}
