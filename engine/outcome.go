// Outcomes of attempts, as those who watch count them.

package engine

import (
	"context"

	"github.com/senpuki/senpuki/activities"
)

// outcome says how an attempt ended, once its code has returned: f is its failure, dropped that the script had cancelled the step.
func (w *worker) outcome(f *activities.Failure, dropped bool) AttemptOutcome {
	switch {
	case f == nil:
		return AttemptDone
	case dropped:
		return AttemptCancelled
	case w.cut.Load() && w.attempts.Err() != nil:
		return AttemptReturned
	}
	return AttemptFailure
}

// taskOutcome is how the attempt of a task ended that ran here.
func (w *worker) taskOutcome(ctx context.Context, f *activities.Failure) AttemptOutcome {
	if f != nil && f.Kind == activities.KindTimeout && ctx.Err() == nil {
		return AttemptTimedOut
	}
	return w.outcome(f, ctx.Err() != nil && !w.cut.Load())
}
