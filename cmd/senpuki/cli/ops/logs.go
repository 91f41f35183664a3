// Structured logs: format and level by name, without passwords.

package ops

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// LogOptions say how a logger writes.
type LogOptions struct {
	Format string // text (default) or json
	Level  string // debug, info (default), warn, error
	// Mask takes passwords out of a text. Default: nothing is taken out.
	Mask func(string) string
}

// Level is the level of a name, "" is info.
func Level(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("there is no log level %q; there are debug, info, warn, error", name)
}

// NewLogger returns a logger that writes to w, or what is wrong with the options.
func NewLogger(w io.Writer, o LogOptions) (*slog.Logger, error) {
	level, err := Level(o.Level)
	if err != nil {
		return nil, err
	}
	h := slog.HandlerOptions{Level: level}
	if o.Mask != nil {
		h.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr { return masked(a, o.Mask) }
	}
	switch o.Format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, &h)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &h)), nil
	}
	return nil, fmt.Errorf("there is no log format %q; there are text, json", o.Format)
}

// masked is an attribute without passwords; errors become their text.
func masked(a slog.Attr, mask func(string) string) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(mask(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			a.Value = slog.StringValue(mask(x.Error()))
		case fmt.Stringer:
			a.Value = slog.StringValue(mask(x.String()))
		}
	}
	return a
}
