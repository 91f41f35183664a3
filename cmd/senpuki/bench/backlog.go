// The workload backlog: claims while very much waits.

package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

const (
	fewPending  = 100
	manyPending = 100_000
	oneClaim    = 10 // executions a claim
	claims      = 9
)

// backlog: how long a claim takes with 100 and with 100,000 pending executions.
// The figure is the ratio of the two; detail has how long it took to dispatch them.
func backlog(ctx context.Context, c Config) (_ Result, err error) {
	many := or(c.Executions, manyPending)
	l, err := newLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	session, _, err := l.store.Open(ctx, backend.Session{Host: "bench"})
	if err != nil {
		return Result{}, err
	}
	few, _, err := l.pend(ctx, session, min(fewPending, many))
	if err != nil {
		return Result{}, err
	}
	much, dispatching, err := l.pend(ctx, session, many)
	if err != nil {
		return Result{}, err
	}
	return Result{
		N: many, Unit: "x", Value: round(float64(much)/float64(few), 2),
		Detail: map[string]any{
			"claim_100_ms": milliseconds(few), "claim_ms": milliseconds(much), "dispatch_ms": milliseconds(dispatching),
			"dispatched_a_second": round(float64(many)/dispatching.Seconds(), 0),
		},
	}, errors.Join(err, l.store.Revoke(ctx, session))
}

// pend dispatches n executions, measures claims of a few of them, and ends them all.
func (l *lab) pend(ctx context.Context, session backend.SessionID, n int) (claim, dispatching time.Duration, err error) {
	jobs := make([]engine.Job, n)
	for i := range jobs {
		jobs[i] = engine.Job{Input: engine.Input{Args: []any{1}}, Options: engine.DispatchOptions{
			Digest: l.program.Digest, Function: "sequential", Queue: queue(), Priority: i % 3,
		}}
	}
	begun := time.Now()
	if _, err := l.engine.DispatchAll(ctx, "bench", jobs); err != nil {
		return 0, 0, err
	}
	dispatching = time.Since(begun)
	var took []time.Duration
	for range claims {
		begun := time.Now()
		claimed, err := l.claim(ctx, session, oneClaim)
		if err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(begun))
		if err := l.end(ctx, session, claimed); err != nil {
			return 0, 0, err
		}
	}
	slices.Sort(took)
	for {
		claimed, err := l.claim(ctx, session, 500)
		if err != nil || len(claimed) == 0 {
			return median(took), dispatching, err
		}
		if err := l.end(ctx, session, claimed); err != nil {
			return 0, 0, err
		}
	}
}

func (l *lab) claim(ctx context.Context, session backend.SessionID, n int) ([]backend.Claimed, error) {
	return l.store.Claim(ctx, backend.ClaimRequest{Session: session, Queues: []string{queue()}, Editions: []int{starlark.Edition}, Limit: n})
}

// end finishes executions without running them.
func (l *lab) end(ctx context.Context, session backend.SessionID, claimed []backend.Claimed) error {
	b := backend.Batch{Session: session}
	for i := range claimed {
		b.Turns = append(b.Turns, backend.Turn{
			Execution: claimed[i].ID, Run: claimed[i].Run, Then: backend.Finish, State: backend.Cancelled, Failure: []byte(`{"kind":"Cancelled"}`),
		})
	}
	_, err := l.store.Commit(ctx, b)
	return err
}
