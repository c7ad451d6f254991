package cli

import (
	"io"
	"log/slog"
)

// logger writes the server's log as it is configured.
func (c *config) logger(w io.Writer) *slog.Logger {
	var o slog.HandlerOptions
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		panic("a level that slog does not know was let through: " + c.logLevel)
	}
	o.Level = level
	if c.logFormat == formatJSON {
		return slog.New(slog.NewJSONHandler(w, &o))
	}
	return slog.New(slog.NewTextHandler(w, &o))
}
