package daemon

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/xoauthd/xoauthd/config"
)

// TestBudget checks that few descriptors reduce the sessions, and that too few cause an error
// with a remedy.
func TestBudget(t *testing.T) {
	for _, test := range []struct {
		name     string
		allowed  uint64
		sessions int // configured
		want     budget
		fails    bool
	}{
		{"the unit", 16384, 1000, budget{1000, 64}, false},
		{"no limit", ^uint64(0), 100_000, budget{100_000, 64}, false},
		{"the limit of an old system", 4096, 1000, budget{1000, 64}, false},
		{"a shell", 1024, 1000, budget{192, 16}, false},
		{"few sessions configured", 364, 5, budget{5, 8}, false},
		{"hardly any", 364, 1000, budget{11, 8}, false},
		{"too few", 334, 1000, budget{}, true},
		{"none", 0, 1, budget{}, true},
	} {
		c := &config.Config{Listeners: make([]config.Listener, 2), Web: new(config.Web), Metrics: new(config.Metrics)}
		c.Limits.Sessions = test.sessions
		got, err := newBudget(c, test.allowed)
		if (err != nil) != test.fails || err == nil && got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, test.want)
		}
		if err != nil && !strings.Contains(err.Error(), "LimitNOFILE=") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if openFiles() == 0 {
		t.Error("no file may be open")
	}
}

func TestBudgetWarns(t *testing.T) {
	for sessions, warned := range map[int]bool{100: false, 101: true} {
		var log strings.Builder
		d := &Daemon{config: &config.Config{Limits: config.Limits{Sessions: sessions}}, budget: budget{sessions: 100}, log: slog.New(slog.NewTextHandler(&log, nil))}
		d.warnOfFiles()
		if strings.Contains(log.String(), "LimitNOFILE=") != warned {
			t.Errorf("%d sessions wanted: %s", sessions, &log)
		}
	}
}
