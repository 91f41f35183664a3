// A step under way: what was asked, and how its attempts stand.

package engine

import (
	"context"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/starlark"
)

// step is a command whose outcome the script has not been given yet.
type step struct {
	cmd     starlark.Command
	seq     int   // order of asking
	begun   int   // number of the newest attempt, from 1
	failed  int   // attempts that failed: what max_attempts counts
	crashes int   // attempts under which the process died
	running bool  // the newest attempt has begun and has no outcome yet
	queued  bool  // in execution.ready
	dropped bool  // the script cancelled it
	due     int64 // when the timer or the next attempt is due

	asked  int64  // when, microseconds since 1970
	digest string // of a child's code
	input  []byte // of a child

	got   *event // an outcome that is durable and waits for its delivery
	timer *time.Timer

	// resolved from the registration and the script's options, when first needed
	act        *activities.Activity
	retry      activities.RetryPolicy
	timeout    time.Duration
	maxCrashes int
}

// attempt is an activity's code running here.
type attempt struct {
	number  int
	cancel  context.CancelFunc
	timeout *time.Timer
}

// resolve finds the step's activity and merges its options: what the script
// said wins over the registration.
func (w *worker) resolve(st *step) *activities.Failure {
	if st.act != nil {
		return nil
	}
	act, failure := w.lookup(st.cmd.Name)
	if failure != nil {
		return failure
	}
	o := act.Options()
	st.act, st.retry, st.timeout, st.maxCrashes = act, o.Retry, o.Timeout, w.options.MaxCrashes
	if o.MaxCrashes != nil {
		st.maxCrashes = *o.MaxCrashes
	}
	if s := st.cmd.Options; s != nil {
		if s.Retry != nil {
			st.retry = scriptRetry(s.Retry)
		}
		if s.Timeout != nil {
			st.timeout = *s.Timeout
		}
		if s.MaxCrashes != nil {
			st.maxCrashes = *s.MaxCrashes
		}
	}
	st.retry = st.retry.WithDefaults()
	return nil
}

// lookup finds an activity or says which names are near.
func (w *worker) lookup(name string) (*activities.Activity, *activities.Failure) {
	if act, ok := w.registry.Lookup(name); ok {
		return act, nil
	}
	return nil, &activities.Failure{Kind: "UnknownActivity", Message: unknownActivity(w.registry, name), Activity: name, NoRetry: true}
}

func scriptRetry(p *starlark.RetryPolicy) activities.RetryPolicy {
	r := activities.RetryPolicy{
		MaxAttempts: p.MaxAttempts, InitialDelay: p.InitialDelay, BackoffFactor: p.BackoffFactor,
		MaxDelay: p.MaxDelay, Jitter: p.Jitter, RetryFor: p.RetryFor, NoRetryFor: p.NoRetryFor,
	}
	// What the script says is complete: its zeros are none, which is negative there.
	if r.Jitter == 0 {
		r.Jitter = -1
	}
	if r.InitialDelay == 0 {
		r.InitialDelay = -1
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = -1
	}
	return r
}
