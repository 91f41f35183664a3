// Built-ins: retry policies and durations.

package starlark

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"

	"github.com/senpuki/senpuki/internal/durations"
)

// retryPolicy is what retry_policy(...) returns.
type retryPolicy struct{ RetryPolicy }

func (p *retryPolicy) String() string {
	return fmt.Sprintf("retry_policy(max_attempts = %d)", p.MaxAttempts)
}
func (p *retryPolicy) Type() string          { return "retry_policy" }
func (p *retryPolicy) Freeze()               {}
func (p *retryPolicy) Truth() star.Bool      { return true }
func (p *retryPolicy) Hash() (uint32, error) { return uint32(p.MaxAttempts), nil }

func retryPolicyBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var initial, longest, factor, jitter, for_, notFor star.Value
	p := &retryPolicy{RetryPolicy{MaxAttempts: 3, InitialDelay: time.Second, BackoffFactor: 2, MaxDelay: time.Minute, Jitter: 0.1}}
	err := star.UnpackArgs("retry_policy", args, kwargs, "max_attempts?", &p.MaxAttempts, "initial_delay?", &initial,
		"backoff_factor?", &factor, "max_delay?", &longest, "jitter?", &jitter, "retry_for??", &for_, "no_retry_for??", &notFor)
	if err != nil {
		return nil, err
	}
	if p.MaxAttempts < 1 {
		return nil, fmt.Errorf("retry_policy: max_attempts counts the first try and is at least 1, got %d", p.MaxAttempts)
	}
	for _, d := range []struct {
		name string
		v    star.Value
		to   *time.Duration
	}{{"initial_delay", initial, &p.InitialDelay}, {"max_delay", longest, &p.MaxDelay}} {
		if d.v != nil {
			if *d.to, err = duration(d.v); err != nil {
				return nil, fmt.Errorf("retry_policy: %s: %w", d.name, err)
			}
		}
	}
	if factor != nil {
		f, ok := star.AsFloat(factor)
		if !ok || f < 1 || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("retry_policy: backoff_factor is at least 1, got %s", repr(factor))
		}
		p.BackoffFactor = f
	}
	if jitter != nil {
		f, ok := star.AsFloat(jitter)
		if !ok || !(f >= 0 && f <= 1) {
			return nil, fmt.Errorf("retry_policy: jitter is between 0 and 1, got %s", repr(jitter))
		}
		p.Jitter = f
	}
	if for_ != nil {
		if p.RetryFor, err = textList(for_); err != nil {
			return nil, fmt.Errorf("retry_policy: retry_for: %w", err)
		}
	}
	if notFor != nil {
		if p.NoRetryFor, err = textList(notFor); err != nil {
			return nil, fmt.Errorf("retry_policy: no_retry_for: %w", err)
		}
	}
	return p, nil
}

// longest is the longest duration that a script may name: about 290 years.
const longest = float64(math.MaxInt64 / int64(time.Second))

// duration reads a number of seconds, a time duration, or text like "1h 30m".
func duration(v star.Value) (time.Duration, error) {
	var seconds float64
	switch v := v.(type) {
	case startime.Duration:
		if v < 0 {
			return 0, fmt.Errorf("a duration is not negative, got %s", v)
		}
		return time.Duration(v), nil
	case star.Int, star.Float:
		seconds, _ = star.AsFloat(v)
	case star.String:
		d, err := durations.Parse(string(v))
		switch {
		case errors.Is(err, durations.ErrNegative):
			return 0, fmt.Errorf("a duration is not negative, got %s", v)
		case errors.Is(err, durations.ErrRange):
			return 0, fmt.Errorf("the duration %s is too long", v)
		case err != nil:
			return 0, fmt.Errorf("%q is not a duration; write like \"500ms\", \"1h 30m\" or \"2d\"", string(v))
		}
		return d, nil
	default:
		return 0, fmt.Errorf("a duration is a number of seconds or text like \"1h 30m\", got %s", v.Type())
	}
	switch {
	case math.IsNaN(seconds), seconds < 0:
		return 0, fmt.Errorf("a duration is not negative, got %s", v)
	case seconds >= longest:
		return 0, fmt.Errorf("the duration %s is too long", strings.TrimSpace(v.String()))
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}

// positiveDuration reads a duration that is not zero.
func positiveDuration(v star.Value) (*time.Duration, error) {
	d, err := duration(v)
	if err == nil && d == 0 {
		err = fmt.Errorf("wants more than zero")
	}
	return &d, err
}

// timeoutOption reads the one option timeout.
func timeoutOption(what string, kwargs []star.Tuple, read func(star.Value) (*time.Duration, error)) (*time.Duration, error) {
	var v star.Value
	if err := star.UnpackArgs(what, nil, kwargs, "timeout??", &v); err != nil || v == nil {
		return nil, err
	}
	d, err := read(v)
	if err != nil {
		return nil, fmt.Errorf("%s: timeout: %w", what, err)
	}
	return d, nil
}

// anyDuration reads a duration that may be zero.
func anyDuration(v star.Value) (*time.Duration, error) {
	d, err := duration(v)
	return &d, err
}
