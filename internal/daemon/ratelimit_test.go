package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRateLimit checks the limit of connections of each source in a second, which does not
// depend on other sources, and that the log has only a few lines about refusals.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := newRateLimit("imap", slog.New(slog.NewTextHandler(&log, nil)), newRefusals().WithLabelValues("imap"))
		begin := func(source byte, n int) (admitted int) {
			for range n {
				if !r.refuse(sourceOf(source)) {
					admitted++
				}
			}
			return admitted
		}
		for second := range 3 {
			for _, test := range []struct {
				source         byte
				begins, admits int
			}{{'a', 1000, overloadRate}, {'b', overloadRate - 1, overloadRate - 1}, {'a', 5, 0}, {'b', 1, 1}, {'b', 1, 0}} {
				if got := begin(test.source, test.begins); got != test.admits {
					t.Errorf("second %d: %d of %d of %c are admitted, want %d", second, got, test.begins, test.source, test.admits)
				}
			}
			time.Sleep(time.Second)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "client=192.0.2.97 connections=1 ") {
			t.Errorf("the log has %d lines:\n%s", lines, &log)
		}
		if n := testutil.ToFloat64(r.refused); n != 3*(1000-overloadRate+5+1) {
			t.Errorf("%v refusals are counted", n)
		}
		time.Sleep(refusalLogTime)
		begin('a', overloadRate+1)
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "connections=2718 ") {
			t.Errorf("the log has %d lines:\n%s", lines, &log)
		}
	})
}
