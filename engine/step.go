// A step under way: what was asked, and how its attempts stand.

package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
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

	asked  int64           // when, microseconds since 1970, or when the next attempt was due
	digest string          // of a child's code
	input  []byte          // of a child
	child  string          // id of the newest attempt's child, or of who is watched
	anew   bool            // it is to be done again, whatever has come of it
	resent []carriedSignal // what a rerun of the script sends its child again

	call  *activities.Bound // of the attempt that begins with the turn under way, decoded already
	got   *event            // an outcome that is durable and waits for its delivery
	timer *time.Timer

	source *originRun // that first asked for it, and whose journal was copied; nil: this run
	remote bool       // the newest attempt is a task
	memo   string     // hash of the memo that it shares
	held   bool       // it computes the memo

	// resolved from the registration and the script's options, when first needed
	resolved     bool
	act          *activities.Activity // nil: not registered here
	params       []string             // names of its parameters, when it is registered elsewhere
	elsewhere    []byte               // the options with which it is, as the journal of a task has them; nil: none, or it is not known
	retry        activities.RetryPolicy
	timeout      time.Duration
	startTimeout time.Duration
	heartbeat    time.Duration
	maxCrashes   int
	queue        string // "": the execution's
	priority     int
	tags         []string
	limit        *backend.Limit
	pure         bool
	permanent    bool // idempotent
	cached       bool
	cacheTTL     time.Duration
	version      string
	key          *string
}

// newStep is a step without a copy of itself on the stack of its script. The
// one before, if it is over and nobody has it any more, serves again.
func (x *execution) newStep(c *starlark.Command) *step {
	st := x.spare
	if st == nil {
		st = new(step)
	}
	x.spare = nil
	st.cmd = *c
	return st
}

// spent makes a step that is over serve again, unless somebody may still have it.
func (x *execution) spent(st *step) {
	if st.timer != nil || st.queued || st.memo != "" || st.remote || st.dropped {
		return
	}
	*st = step{}
	x.spare = st
}

// resolve is configure for those who run the activity here.
func (w *worker) resolve(st *step) *activities.Failure {
	w.configure(st)
	if st.act == nil {
		_, failure := w.lookup(st.cmd.Name)
		return failure
	}
	return nil
}

// configure finds the step's activity and merges its options: what the script
// said wins over the registration, here or, when it is not registered here, elsewhere. As long as nobody is known who has it,
// each call looks again; a task that has begun keeps to what was known then.
func (w *worker) configure(st *step) {
	if !st.resolved {
		w.engine.configure(w.ctx, st, w.answered)
	}
}

// configure is that of a worker for who waits for the database in another way, or does not.
func (e *Engine) configure(ctx context.Context, st *step, answered func(func() error) error) {
	var o activities.Options
	if act, ok := e.registry.Lookup(st.cmd.Name); ok {
		st.act, o, st.resolved = act, act.Options(), true
	} else if o, st.resolved = e.registration(ctx, st, answered); st.resolved {
		st.params, o.Params = o.Params, nil
		st.elsewhere = encodeOptions(o)
	} else if st.elsewhere != nil {
		_ = json.Unmarshal(st.elsewhere, &o) // an earlier owner has known; as far as it can be read
	}
	st.merge(o, e.options.MaxCrashes)
}

// merge makes a step's options from those of the registration and of the script.
func (st *step) merge(o activities.Options, maxCrashes int) {
	st.retry, st.timeout, st.startTimeout, st.heartbeat = o.Retry, o.Timeout, o.StartTimeout, o.Heartbeat
	st.queue, st.priority, st.tags = o.Queue, o.Priority, o.Tags
	st.permanent, st.cached, st.cacheTTL, st.version = o.Idempotent, o.Cached, o.CacheTTL, o.Version
	st.pure = o.Pure
	st.maxCrashes = maxCrashes
	if o.MaxCrashes != nil {
		st.maxCrashes = *o.MaxCrashes
	}
	most, rate := o.MaxConcurrent, o.Rate
	if s := st.cmd.Options; s != nil {
		if s.Retry != nil {
			st.retry = scriptRetry(s.Retry)
		}
		override(&st.timeout, s.Timeout)
		override(&st.startTimeout, s.StartTimeout)
		override(&st.heartbeat, s.Heartbeat)
		override(&st.queue, s.Queue)
		override(&st.priority, s.Priority)
		override(&st.permanent, s.Idempotent)
		override(&st.cached, s.Cached)
		override(&st.cacheTTL, s.CacheTTL)
		override(&st.version, s.Version)
		override(&st.pure, s.Pure)
		override(&st.maxCrashes, s.MaxCrashes)
		override(&most, s.MaxConcurrent)
		override(&rate, s.Rate)
		st.key = s.Key
		if s.Tags != nil {
			st.tags = s.Tags
		}
	}
	if most > 0 || rate != "" {
		st.limit = &backend.Limit{Max: most}
		st.limit.Rate, st.limit.Per, _ = activities.ParseRate(rate) // checked where it was given
	}
	st.retry = st.retry.WithDefaults()
}

// override sets what was given.
func override[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

// lookup finds an activity or says which names are near.
func (w *worker) lookup(name string) (*activities.Activity, *activities.Failure) {
	if act, ok := w.registry.Lookup(name); ok {
		return act, nil
	}
	return nil, &activities.Failure{Kind: activities.KindUnknownActivity, Message: unregistered(name, w.registry.Names()), Activity: name, NoRetry: true}
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
