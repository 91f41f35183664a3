// Tests of the registry and of options.

package activities

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	nothing := func() error { return nil }
	for _, name := range []string{"charge", "refund", "shell.run", "send_mail"} {
		r.MustRegister(name, nothing)
	}
	if got := r.Names(); !reflect.DeepEqual(got, []string{"charge", "refund", "send_mail", "shell.run"}) {
		t.Error(got)
	}
	wrapped := r.Wrap(nil)
	wrapped.MustRegister("hold", nothing)
	if got := append(r.Names(), wrapped.Names()...); !reflect.DeepEqual(got, []string{"charge", "refund", "send_mail", "shell.run", "charge", "hold", "refund", "send_mail", "shell.run"}) {
		t.Error(got)
	}
	if a, ok := r.Lookup("charge"); !ok || a.Name() != "charge" {
		t.Error("charge is not found")
	}
	if _, ok := r.Lookup("Charge"); ok {
		t.Error("names are exact")
	}
	for name, want := range map[string][]string{
		"chrage": {"charge"}, "Charge": {"charge"}, "run": {"shell.run"}, "refnud": {"refund"}, "zzzzzz": nil, "": nil, "shell": {"shell.run"},
	} {
		if got := Nearest(name, r.Names()); !reflect.DeepEqual(got, want) {
			t.Errorf("Nearest(%q) = %v, want %v", name, got, want)
		}
	}
	if err := r.Register("charge", nothing); !errors.Is(err, ErrRegistered) {
		t.Error(err)
	}
	for _, bad := range []string{"", "a b", "1x", "x\n", "é"} {
		if err := r.Register(bad, nothing); err == nil {
			t.Errorf("the name %q was taken", bad)
		}
	}
	if err := r.Register("twice", nothing, Options{}, Options{}); err == nil {
		t.Error("two Options were taken")
	}
}

func TestOptionsRefused(t *testing.T) {
	t.Parallel()
	minus := -1
	for want, o := range map[string]Options{
		"timeout must not be negative":        {Timeout: -1},
		"start_timeout must not":              {StartTimeout: -1},
		"heartbeat must not":                  {Heartbeat: -1},
		"cache_ttl must not":                  {CacheTTL: -1},
		"max_concurrent must not":             {MaxConcurrent: -1},
		"max_crashes must not":                {MaxCrashes: &minus},
		`such as "100/1m", not "fast"`:        {Rate: "fast"},
		`not "0/1m"`:                          {Rate: "0/1m"},
		`not "5/0s"`:                          {Rate: "5/0s"},
		"params names 2 parameters":           {Params: []string{"a", "b"}},
		`"a b" is not a name`:                 {Params: []string{"a b"}},
		`"a" is there twice`:                  {Params: []string{"a", "a"}},
		"retry: max_attempts counts":          {Retry: RetryPolicy{MaxAttempts: -1}},
		"retry: backoff_factor must":          {Retry: RetryPolicy{BackoffFactor: math.NaN()}},
		"retry: max_delay must":               {Retry: RetryPolicy{MaxDelay: -1}},
		"retry: jitter is a share":            {Retry: RetryPolicy{Jitter: 1.5}},
		"retry: retry_for and no_retry_for n": {Retry: RetryPolicy{RetryFor: []string{""}}},
	} {
		err := NewRegistry().Register("x", func(int) error { return nil }, o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if err := (Options{Rate: "100/1m", MaxCrashes: new(int), Retry: RetryPolicy{Jitter: -1, InitialDelay: -1}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "0.4s": 400 * time.Millisecond, "1h 30m": 90 * time.Minute, "1h30m": 90 * time.Minute,
		"2d": 48 * time.Hour, "1w": 168 * time.Hour, " 1s ": time.Second, "0s": 0,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1s", "1x", "s", "1..2s", "1s,", "999999999999w", "1 h", "."} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if _, err := secondsDuration(-1); err == nil {
		t.Error("negative seconds were taken")
	}
}
