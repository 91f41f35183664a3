// Durations as flags take them.

package cli

import (
	"errors"
	"time"

	"github.com/senpuki/senpuki/internal/durations"
)

// parsePositive is parseDuration for flags of which nothing, once given, makes no sense.
func parsePositive(flag, text string) (time.Duration, error) {
	d, err := parseDuration(flag, text)
	if err == nil && d == 0 && text != "" {
		err = usage("%s: %q is not longer than nothing", flag, text)
	}
	return d, err
}

// parseDuration reads a duration flag as scripts write durations: "500ms", "1h 30m", "2d". "" is none.
func parseDuration(flag, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := durations.Parse(text)
	switch {
	case errors.Is(err, durations.ErrRange):
		return 0, usage("%s: %q is longer than 292 years", flag, text)
	case errors.Is(err, durations.ErrNegative):
		return 0, usage("%s: %q is negative", flag, text)
	case err != nil:
		return 0, usage(`%s: %q is not a duration such as "500ms", "1h 30m" or "2d"`, flag, text)
	}
	return d, nil
}
