// The workload aged: throughput beside very many executions that have ended.

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

const (
	manyEnded = 1_000_000
	// agingRound is how many executions are begun and ended at a time, agingClaim how many in one transaction.
	agingRound, agingClaim = 10_000, 500
	// agingRows is how many journal rows each of them leaves.
	agingRows = 2
)

// aged: throughput on the database as it is, then a million executions that have ended, then throughput
// again. The figure is the second over the first.
func aged(ctx context.Context, c Config) (Result, error) {
	c.Aged = or(c.Aged, manyEnded)
	small := c
	small.Executions = or(c.Executions, 2000)
	before, err := throughput(ctx, small)
	if err != nil {
		return Result{}, err
	}
	begun := time.Now()
	if err := age(ctx, c, c.Aged); err != nil {
		return Result{}, fmt.Errorf("age the database: %w", err)
	}
	took := time.Since(begun)
	after, err := throughput(ctx, small)
	if err != nil {
		return Result{}, err
	}
	return Result{
		N: c.Aged, Unit: "x", Value: round(after.Value/before.Value, 2),
		Detail: map[string]any{"before": before.Value, "after": after.Value, "aging_s": round(took.Seconds(), 1)},
	}, nil
}

// age leaves n executions that have ended.
func age(ctx context.Context, c Config, n int) (err error) {
	l, err := newLab(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	session, _, err := l.store.Open(ctx, backend.Session{Host: "bench"})
	if err != nil {
		return err
	}
	for n > 0 {
		jobs := make([]engine.Job, min(n, agingRound))
		n -= len(jobs)
		for i := range jobs {
			jobs[i] = engine.Job{Input: engine.Input{Args: []any{1}}, Options: engine.DispatchOptions{
				Digest: l.program.Digest, Function: "sequential", Queue: queue(),
			}}
		}
		if _, err := l.engine.DispatchAll(ctx, "bench", jobs); err != nil {
			return err
		}
		for {
			claimed, err := l.claim(ctx, session, agingClaim)
			if err != nil {
				return err
			}
			if len(claimed) == 0 {
				break
			}
			if err := l.complete(ctx, session, claimed); err != nil {
				return err
			}
		}
		// A session that is silent for long is taken for dead.
		if _, err := l.store.Beat(ctx, session, nil); err != nil {
			return err
		}
	}
	return l.store.Revoke(ctx, session)
}

// complete ends executions with a journal and a result, without running them.
func (l *lab) complete(ctx context.Context, session backend.SessionID, claimed []backend.Claimed) error {
	row := make([]byte, limitRow)
	for i := range row {
		row[i] = ' '
	}
	copy(row, "[")
	row[limitRow-1] = ']'
	b := backend.Batch{Session: session}
	for i := range claimed {
		t := backend.Turn{Execution: claimed[i].ID, Run: claimed[i].Run, Then: backend.Finish, State: backend.Completed, Result: []byte("1")}
		for range agingRows {
			t.Rows = append(t.Rows, row)
		}
		b.Turns = append(b.Turns, t)
	}
	_, err := l.store.Commit(ctx, b)
	return err
}
