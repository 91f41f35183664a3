// Package durations reads durations as people write them in scripts, flags, settings and registrations: parts, each a
// decimal number and one of ms s m h d w, with blanks between them and around the whole: "500ms", "0.4s", "1h 30m", "2d".
package durations

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrSyntax: the text is no duration.
	ErrSyntax = errors.New("not a duration")
	// ErrNegative: it is one behind a minus.
	ErrNegative = errors.New("a negative duration")
	// ErrRange: it is longer than 292 years.
	ErrRange = errors.New("a duration that is too long")
)

// units are read in this order: "ms" before "m".
var units = []struct {
	name string
	unit time.Duration
}{
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

const blanks = " \t\n\v\f\r"

// Parse reads a duration, rounded to a nanosecond.
func Parse(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(strings.Trim(text, blanks), "-")
	if rest = strings.TrimLeft(rest, blanks); rest == "" {
		return 0, ErrSyntax
	}
	total := 0.0
	for rest != "" {
		number, unit, left := part(rest)
		if unit == 0 {
			return 0, ErrSyntax
		}
		total += float64(number * float64(unit)) // in two steps on every machine: some fuse them
		rest = strings.TrimLeft(left, blanks)
	}
	switch {
	case negative:
		return 0, ErrNegative
	case total >= math.MaxInt64:
		return 0, ErrRange
	}
	return time.Duration(math.Round(total)), nil
}

// part reads the first part; unit is 0 when there is none.
func part(text string) (number float64, unit time.Duration, rest string) {
	end := digits(text)
	if end == 0 {
		return 0, 0, text
	}
	if strings.HasPrefix(text[end:], ".") {
		n := digits(text[end+1:])
		if n == 0 {
			return 0, 0, text
		}
		end += 1 + n
	}
	number, _ = strconv.ParseFloat(text[:end], 64) // digits are a number, or one beyond all: +Inf
	for _, u := range units {
		if rest, ok := strings.CutPrefix(text[end:], u.name); ok {
			return number, u.unit, rest
		}
	}
	return 0, 0, text
}

// digits is how many digits a text begins with.
func digits(text string) int {
	return len(text) - len(strings.TrimLeft(text, "0123456789"))
}
