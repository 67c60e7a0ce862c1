package daemon

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/systemd"
)

// NewLog returns a logger that writes each line to w at once, in the configured format.
// Under journald, lines have a priority for journalctl -p instead of a time, which
// journald adds.
func NewLog(c config.Log, w io.Writer) *slog.Logger {
	return newLog(c, w, systemd.UnderJournal())
}

func newLog(c config.Log, w io.Writer, journal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(c.Level)}
	format := func(w io.Writer) slog.Handler {
		if c.Format == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	if !journal {
		return slog.New(format(w))
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	handlers := make(prioritized, len(priorities))
	for level, prefix := range priorities {
		handlers[level] = format(priority{w, prefix})
	}
	return slog.New(handlers)
}

// priorities are the prefixes of the levels in sd-daemon(3).
var priorities = map[slog.Level]string{
	slog.LevelDebug: "<7>",
	slog.LevelInfo:  "<6>",
	slog.LevelWarn:  "<4>",
	slog.LevelError: "<3>",
}

// Say writes lines for a person, such as why the daemon does not start. Under journald
// they have a priority, as log lines have.
func Say(w io.Writer, level slog.Level, text string) {
	say(w, level, text, systemd.UnderJournal())
}

func say(w io.Writer, level slog.Level, text string, journal bool) {
	for line := range strings.Lines(text) {
		if journal {
			line = priorities[level] + line
		}
		io.WriteString(w, strings.TrimSuffix(line, "\n")+"\n")
	}
}

// level converts a level of the configuration.
func level(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// A priority is a writer that adds a prefix to each line. It relies on handlers that write
// each line with one call.
type priority struct {
	w      io.Writer
	prefix string
}

func (p priority) Write(line []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), line...))
	return max(0, n-len(p.prefix)), err
}

// prioritized has a handler for each level.
type prioritized map[slog.Level]slog.Handler

// The methods of slog.Handler.

func (p prioritized) Enabled(ctx context.Context, l slog.Level) bool {
	return p[l] != nil && p[l].Enabled(ctx, l)
}

func (p prioritized) Handle(ctx context.Context, r slog.Record) error {
	return p[r.Level].Handle(ctx, r)
}

func (p prioritized) WithAttrs(attrs []slog.Attr) slog.Handler {
	return p.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (p prioritized) WithGroup(name string) slog.Handler {
	return p.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (p prioritized) with(change func(slog.Handler) slog.Handler) slog.Handler {
	changed := make(prioritized, len(p))
	for l, h := range p {
		changed[l] = change(h)
	}
	return changed
}
