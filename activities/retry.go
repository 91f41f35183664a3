// The arithmetic of retries.

package activities

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// RetryPolicy says how often and how soon a failed attempt is repeated. A
// field that is zero means its default; a delay or jitter of none is negative.
type RetryPolicy struct {
	MaxAttempts   int           `json:"max_attempts,omitzero"`   // counts the first try; default 3
	InitialDelay  time.Duration `json:"initial_delay,omitzero"`  // default 1s; negative: none
	BackoffFactor float64       `json:"backoff_factor,omitzero"` // default 2
	MaxDelay      time.Duration `json:"max_delay,omitzero"`      // default 60s
	Jitter        float64       `json:"jitter,omitzero"`         // share of the delay, 0.1 = up to 10 % more or less; default 0.1; negative: none
	RetryFor      []string      `json:"retry_for,omitempty"`     // only these kinds are retried; none given: all
	NoRetryFor    []string      `json:"no_retry_for,omitempty"`  // these kinds are not; it wins over RetryFor
}

// WithDefaults returns the policy with its zero fields filled in.
func (p RetryPolicy) WithDefaults() RetryPolicy {
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 3
	}
	if p.InitialDelay == 0 {
		p.InitialDelay = time.Second
	}
	if p.BackoffFactor == 0 {
		p.BackoffFactor = 2
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = time.Minute
	}
	if p.Jitter == 0 {
		p.Jitter = 0.1
	}
	return p
}

// Validate says what is wrong with the policy, one sentence per mistake.
func (p RetryPolicy) Validate() error {
	var errs []error
	if p.MaxAttempts < 0 {
		errs = append(errs, fmt.Errorf("max_attempts counts the first try and must be at least 1, not %d", p.MaxAttempts))
	}
	if p.BackoffFactor < 0 || math.IsNaN(p.BackoffFactor) || math.IsInf(p.BackoffFactor, 0) {
		errs = append(errs, fmt.Errorf("backoff_factor must be a positive number, not %v", p.BackoffFactor))
	}
	if p.MaxDelay < 0 {
		errs = append(errs, fmt.Errorf("max_delay must not be negative, got %v", p.MaxDelay))
	}
	if p.Jitter > 1 || math.IsNaN(p.Jitter) {
		errs = append(errs, fmt.Errorf("jitter is a share of the delay between 0 and 1, not %v", p.Jitter))
	}
	for _, kind := range slices.Concat(p.RetryFor, p.NoRetryFor) {
		if kind == "" {
			errs = append(errs, errors.New("retry_for and no_retry_for name kinds of failure; one of them is empty"))
			break
		}
	}
	return errors.Join(errs...)
}

// Next says, after the n-th failed attempt (n counts from 1), how long to wait
// and whether to try again at all: a failure that is not retryable only when RetryFor names its kind. random is in [0, 1).
func (p RetryPolicy) Next(n int, f *Failure, random float64) (delay time.Duration, again bool) {
	if n >= p.WithDefaults().MaxAttempts {
		return 0, false
	}
	if f != nil {
		named := slices.Contains(p.RetryFor, f.Kind)
		if slices.Contains(p.NoRetryFor, f.Kind) || !named && (f.NoRetry || len(p.RetryFor) > 0) {
			return 0, false
		}
	}
	return p.Delay(n, random), true
}

// Delay is min(InitialDelay * BackoffFactor^(n-1), MaxDelay), more or less a share of
// at most Jitter. random is in [0, 1).
func (p RetryPolicy) Delay(n int, random float64) time.Duration {
	p = p.WithDefaults()
	if p.InitialDelay < 0 {
		return 0
	}
	d := float64(p.InitialDelay) * math.Pow(p.BackoffFactor, float64(max(n, 1)-1))
	d = min(d, float64(p.MaxDelay))
	if p.Jitter > 0 {
		d += d * p.Jitter * (2*random - 1)
	}
	if d >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(max(d, 0))
}
