package daemon

import (
	"io"
	"log/slog"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/systemd"
)

// NewLog returns the log that the configuration wants. journald gives each line
// a time of its own, and so it gets none from us.
func NewLog(c config.Log, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(c.Level)}
	if systemd.UnderJournal() {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// level is one of the four that config allows.
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
