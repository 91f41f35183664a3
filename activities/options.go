// The options of an activity.

package activities

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are the defaults that a script's own options override. The zero
// value is useful: default retries, no timeouts, the execution's own queue.
type Options struct {
	Retry        RetryPolicy   `json:"retry,omitzero"`
	Timeout      time.Duration `json:"timeout,omitzero"`       // per attempt
	StartTimeout time.Duration `json:"start_timeout,omitzero"` // until an attempt begins
	Heartbeat    time.Duration `json:"heartbeat,omitzero"`     // at most so long between two heartbeats
	Queue        string        `json:"queue,omitzero"`
	Priority     int           `json:"priority,omitzero"`
	Tags         []string      `json:"tags,omitempty"`

	// Params names the parameters after the context, so that they can be given by
	// keyword. It may name fewer than there are.
	Params []string `json:"params,omitempty"`

	Idempotent    bool          `json:"idempotent,omitzero"`
	Cached        bool          `json:"cached,omitzero"`
	CacheTTL      time.Duration `json:"cache_ttl,omitzero"`
	Version       string        `json:"version,omitzero"`
	MaxConcurrent int           `json:"max_concurrent,omitzero"`
	Rate          string        `json:"rate,omitzero"`        // "100/1m"
	MaxCrashes    *int          `json:"max_crashes,omitzero"` // how often the process may die under a step; nil: 10
	Pure          bool          `json:"pure,omitzero"`
	Doc           string        `json:"doc,omitzero"`
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate says what is wrong with the options, one sentence per mistake.
func (o Options) Validate() error {
	var errs []error
	if err := o.Retry.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("retry: %w", err))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"timeout", o.Timeout}, {"start_timeout", o.StartTimeout}, {"heartbeat", o.Heartbeat}, {"cache_ttl", o.CacheTTL}} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("%s must not be negative, got %v", d.name, d.value))
		}
	}
	if o.MaxConcurrent < 0 {
		errs = append(errs, fmt.Errorf("max_concurrent must not be negative, got %d", o.MaxConcurrent))
	}
	if o.MaxCrashes != nil && *o.MaxCrashes < 0 {
		errs = append(errs, fmt.Errorf("max_crashes must not be negative, got %d", *o.MaxCrashes))
	}
	if _, _, err := ParseRate(o.Rate); err != nil {
		errs = append(errs, err)
	}
	for i, p := range o.Params {
		if !identifier.MatchString(p) {
			errs = append(errs, fmt.Errorf("params: %q is not a name that a script can write", p))
		}
		if slices.Contains(o.Params[:i], p) {
			errs = append(errs, fmt.Errorf("params: %q is there twice", p))
		}
	}
	return errors.Join(errs...)
}

// ParseRate reads a rate, a number per duration such as "100/1m". "" is no rate: 0.
func ParseRate(rate string) (n int, per time.Duration, err error) {
	if rate == "" {
		return 0, 0, nil
	}
	wrong := fmt.Errorf(`rate is a number per duration such as "100/1m", not %q`, rate)
	count, duration, ok := strings.Cut(rate, "/")
	if !ok {
		return 0, 0, wrong
	}
	n, err = strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 1 {
		return 0, 0, wrong
	}
	per, err = ParseDuration(duration)
	if err != nil || per <= 0 {
		return 0, 0, wrong
	}
	return n, per, nil
}
