// What an execution asks the database, and waits for.

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// passes reports whether a fault is one that waiting may end.
func passes(err error) bool {
	return errors.Is(err, backend.ErrTransient) || errors.Is(err, backend.ErrFull)
}

// retryRead reads until the database answers.
func retryRead(ctx context.Context, read func() error) error {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		err := read()
		switch {
		case err != nil && ctx.Err() != nil:
			return errLost
		case !passes(err):
			return err
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return errLost
		}
	}
}

// answered asks the database what decides what becomes of a step or a run: one that does not answer says nothing about that,
// and is waited for. Meanwhile the execution takes nothing in: none of it could land.
func (w *worker) answered(ask func() error) error {
	return retryRead(w.ctx, func() error {
		err := ask()
		if passes(err) {
			w.fault(err)
		}
		return err
	})
}

// read is answered for a single read, to which the database can say that there is no such thing or that it is damaged. All
// else keeps it from being answered, a password that was changed for example, and says nothing of the execution.
func (w *worker) read(read func() error) error {
	return w.answered(func() error {
		err := read()
		if err == nil || passes(err) || errors.Is(err, backend.ErrNotFound) || errors.Is(err, errRow) ||
			errors.Is(err, backend.ErrDamaged) || errors.Is(err, backend.ErrNotDatabase) {
			return err
		}
		return fmt.Errorf("%w: %w", backend.ErrTransient, err)
	})
}

// journal is journalRows for an execution.
func (w *worker) journal(run backend.RunKey) (rows [][]byte, err error) {
	err = w.read(func() (err error) {
		rows, err = w.engine.journalRows(w.ctx, run)
		return err
	})
	return rows, err
}

// program is that of the engine for an execution.
func (w *worker) program(digest string) (*starlark.Program, error) {
	p, err := w.engine.compiled(w.ctx, digest, func() (rec backend.Program, err error) {
		err = w.read(func() (err error) {
			rec, err = w.store.Program(w.ctx, digest)
			return err
		})
		return rec, err
	})
	if err != nil && w.ctx.Err() != nil {
		err = errLost
	}
	return p, err
}

// holder is the execution that has an id.
func (x *execution) holder(id string) (c backend.Execution, err error) {
	err = x.w.read(func() (err error) {
		c, err = x.w.store.Execution(x.w.ctx, id)
		return err
	})
	return c, err
}

// newest is the newest deployed code of a workflow.
func (x *execution) newest(workflow string) (digest string, err error) {
	err = x.w.read(func() (err error) {
		digest, err = x.w.engine.newestDigest(x.w.ctx, workflow)
		return err
	})
	return digest, err
}

// nextLine is the ordinal of the next log line of the run, when there are any from one on; else 0.
func (x *execution) nextLine(from int64) (next int64, err error) {
	err = x.w.read(func() error {
		lines, err := x.w.store.Logs(x.w.ctx, x.rec.Run, from, 0)
		if n := len(lines); n > 0 {
			next = lines[n-1].Ordinal + 1
		}
		return err
	})
	return next, err
}
