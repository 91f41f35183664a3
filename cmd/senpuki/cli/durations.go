// Durations as flags take them.

package cli

import (
	"math"
	"regexp"
	"strconv"
	"time"
)

var durationPart = regexp.MustCompile(`^\s*(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d|w)\s*`)

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// parseDuration reads a duration flag as scripts write durations: "500ms", "1h 30m", "2d". "" is none.
func parseDuration(flag, text string) (time.Duration, error) {
	total := 0.0
	for rest := text; rest != ""; {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, usage(`%s: %q is not a duration such as "500ms", "1h 30m" or "2d"`, flag, text)
		}
		number, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, usage("%s: %w", flag, err)
		}
		total += number * float64(durationUnits[m[2]])
		rest = rest[len(m[0]):]
	}
	switch {
	case total >= math.MaxInt64:
		return 0, usage("%s: %q is longer than 292 years", flag, text)
	case text != "" && total < 1:
		return 0, usage("%s: %q is not longer than nothing", flag, text)
	}
	return time.Duration(total), nil
}
