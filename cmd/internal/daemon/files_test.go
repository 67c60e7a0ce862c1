package daemon

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

// TestFewFiles: who may not open two files for each session is told what to do.
func TestFewFiles(t *testing.T) {
	for most, warned := range map[uint64]bool{1024: true, 2000: true, 16384: false, openFiles(): openFiles() < 2100} {
		var log strings.Builder
		d := &Daemon{config: &config.Config{Limits: config.Limits{Sessions: 1000}}, log: slog.New(slog.NewTextHandler(&log, nil))}
		d.warnOfFiles(most)
		if strings.Contains(log.String(), "set LimitNOFILE=") != warned {
			t.Errorf("%d may be open: %s", most, &log)
		}
	}
	if openFiles() == 0 {
		t.Error("none may be open")
	}
}
