// Durations as scripts write them.

package activities

import (
	"fmt"
	"math"
	"time"

	"github.com/senpuki/senpuki/internal/durations"
)

// ParseDuration reads a duration as scripts write them: "500ms", "1h 30m", "2d".
func ParseDuration(text string) (time.Duration, error) {
	d, err := durations.Parse(text)
	if err != nil {
		return 0, fmt.Errorf(`%q is not a duration such as "500ms", "1h 30m" or "2d"`, text)
	}
	return d, nil
}

// secondsDuration turns a number of seconds into a duration.
func secondsDuration(seconds float64) (time.Duration, error) {
	if seconds < 0 || math.IsNaN(seconds) || seconds > math.MaxInt64/2/float64(time.Second) {
		return 0, fmt.Errorf("%v is not a number of seconds that can be waited", seconds)
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}
