package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xoauthd/xoauthd/config"
)

// TestPauseForFaults: a daemon whose configuration is faulty does not end before
// systemd may start it again.
func TestPauseForFaults(t *testing.T) {
	faults := fmt.Errorf("xoauthd.toml: %w", config.Faults{{Message: "there is no listener"}})
	for _, test := range []struct {
		name string
		err  error
		stop time.Duration
		want time.Duration
	}{
		{"faulty", faults, time.Hour, 2 * time.Second},
		{"faulty, and stopped", faults, time.Second, time.Second},
		{"a file is missing", config.Faults{{Message: "ca_file: ca.pem: no such file or directory", External: true}}, time.Hour, 0},
		{"another error", errors.New("address already in use"), time.Hour, 0},
		{"the end", nil, time.Hour, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.stop)
			defer cancel()
			start := time.Now()
			pauseForFaults(ctx, test.err)
			if took := time.Since(start); took != test.want {
				t.Errorf("%s: it took %v, want %v", test.name, took, test.want)
			}
		})
	}
}
