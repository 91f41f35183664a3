// The workload aged: throughput beside very many executions that have ended.

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// aged: a million executions that have ended, then throughput on that database and on an empty one beside it, in turn: what a disk or
// a server is still busy with meets both. The figure is that on the first over that on the second.
func aged(ctx context.Context, c Config) (_ Result, err error) {
	c.Aged = or(c.Aged, manyEnded)
	small := c
	small.Executions = or(c.Executions, 2000)
	begun := time.Now()
	if err := age(ctx, c, c.Aged); err != nil {
		return Result{}, fmt.Errorf("age the database: %w", err)
	}
	took := time.Since(begun)
	beside, err := c.Beside()
	if err != nil {
		return Result{}, fmt.Errorf("make an empty database: %w", err)
	}
	defer func() { err = errors.Join(err, beside.Drop(context.WithoutCancel(ctx))) }()
	empty := small
	empty.Open = beside.Open
	var figures [2][]float64 // empty, aged
	for _, which := range []int{0, 1, 1, 0, 0, 1} {
		r, err := throughput(ctx, []Config{empty, small}[which])
		if err != nil {
			return Result{}, err
		}
		figures[which] = append(figures[which], r.Value)
	}
	for i := range figures {
		slices.Sort(figures[i])
	}
	return Result{
		N: c.Aged, Unit: "x", Value: round(figures[1][1]/figures[0][1], 2),
		Detail: map[string]any{"empty": figures[0], "aged": figures[1], "aging_s": round(took.Seconds(), 1)},
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
