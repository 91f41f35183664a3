// Durations as scripts write them.

package activities

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var durationUnits = []struct {
	suffix string
	unit   time.Duration
}{
	// "ms" before "m": the longer suffix is tried first.
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute},
	{"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

// parseDuration reads parts of a decimal number and one of ms s m h d w, blanks
// between them allowed: "500ms", "0.4s", "1h 30m", "2d".
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf(`%q is not a duration such as "500ms", "1h 30m" or "2d"`, text)
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, bad
	}
	total := 0.0
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 {
			return 0, bad
		}
		number, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, bad
		}
		rest = rest[n:]
		found := false
		for _, u := range durationUnits {
			if after, ok := strings.CutPrefix(rest, u.suffix); ok {
				total += number * float64(u.unit)
				rest, found = strings.TrimLeft(after, " "), true
				break
			}
		}
		if !found {
			return 0, bad
		}
	}
	if total > math.MaxInt64/2 {
		return 0, bad
	}
	return time.Duration(math.Round(total)), nil
}

// ParseDuration reads a duration as scripts write them: "500ms", "1h 30m", "2d".
func ParseDuration(text string) (time.Duration, error) { return parseDuration(text) }

// secondsDuration turns a number of seconds into a duration.
func secondsDuration(seconds float64) (time.Duration, error) {
	if seconds < 0 || math.IsNaN(seconds) || seconds > math.MaxInt64/2/float64(time.Second) {
		return 0, fmt.Errorf("%v is not a number of seconds that can be waited", seconds)
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}
