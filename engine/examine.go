// Examine: a look at all that is stored, for what is damaged.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// Problem is a part of a stored record that is not what it has to be.
type Problem struct {
	Execution string `json:"execution,omitempty"` // its id
	Program   string `json:"program,omitempty"`   // its digest
	Problem   string `json:"problem"`             // the column, or the number of the journal row, what is wrong and at which byte
}

// Pages of what Examine looks at: no more of the database is in memory.
const (
	examinedExecutions = 500
	examinedPrograms   = 20
)

// Examine reads every program, every execution with its inbox and with the journals and log lines of its runs, every task,
// dead letter and shared result, tells of all that is not what it has to be, and returns how many executions there were.
// An error of tell ends it.
func (e *Engine) Examine(ctx context.Context, tell func(Problem) error) (executions int, err error) {
	for _, part := range []func(context.Context, func(Problem) error) error{e.examinePrograms, e.examineTasks, e.examineLetters, e.examineMemos} {
		if err := part(ctx, tell); err != nil {
			return 0, err
		}
	}
	for x, err := range e.each(ctx, backend.Filter{Limit: examinedExecutions}) {
		if err == nil {
			err = e.examine(ctx, x, tell)
		}
		if err != nil {
			return executions, err
		}
		executions++
	}
	return executions, nil
}

func (e *Engine) examinePrograms(ctx context.Context, tell func(Problem) error) error {
	for after := ""; ; {
		page, err := e.store.Programs(ctx, after, examinedPrograms)
		if err != nil {
			return err
		}
		for i := range page {
			p := &page[i]
			src, err := starlark.ParseSources(p.Sources)
			if err == nil && src.Digest() != p.Digest {
				err = fmt.Errorf("its digest is %.12s", src.Digest())
			}
			if err == nil {
				continue
			}
			if err := tell(Problem{Program: p.Digest, Problem: backend.Unreadable("sources", err)}); err != nil {
				return err
			}
		}
		if len(page) < examinedPrograms {
			return nil
		}
		after = page[len(page)-1].Digest
	}
}

// examine looks at one execution and its journals: those of earlier runs are there when it was retried.
func (e *Engine) examine(ctx context.Context, x *backend.Execution, tell func(Problem) error) error {
	var told error
	say := func(problem string) {
		if told == nil {
			told = tell(Problem{Execution: x.ID, Problem: problem})
		}
	}
	columns(x, say)
	if x.RunNumber > 1 && told == nil {
		runs, err := e.store.Runs(ctx, x.ID, 1)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if r.Key == x.Run {
				continue
			}
			earlier := func(problem string) error {
				say(fmt.Sprintf("run %d, %s", r.Number, problem))
				return told
			}
			if err := e.examineRun(ctx, r.Key, earlier); err != nil {
				return err
			}
		}
	}
	if told != nil {
		return told
	}
	latest := func(problem string) error {
		say(problem)
		return told
	}
	if err := e.examineRun(ctx, x.Run, latest); err != nil {
		return err
	}
	return e.examineInbox(ctx, x.ID, latest) // of one that has ended: the signals that it has left for a run that goes on
}

// examineRun looks at the journal and the log lines of one run.
func (e *Engine) examineRun(ctx context.Context, run backend.RunKey, tell func(problem string) error) error {
	if err := e.examineJournal(ctx, run, tell); err != nil {
		return err
	}
	return e.examineLog(ctx, run, tell)
}

// examineJournal looks at the journal of one run.
func (e *Engine) examineJournal(ctx context.Context, run backend.RunKey, tell func(problem string) error) error {
	var next int64
	newer := false
	return e.store.Journal(ctx, run, 0, func(r backend.Row) error {
		if last := r.Number - 1; last >= next {
			problem := fmt.Sprintf("row %d is missing", next)
			if last > next {
				problem = fmt.Sprintf("rows %d to %d are missing", next, last)
			}
			if err := tell(problem); err != nil {
				return err
			}
		}
		next = r.Number + 1
		if newer {
			return nil
		}
		var err error
		if newer, err = checkRow(r); err != nil {
			return tell(err.Error())
		}
		return nil
	})
}

// inRow says in which row an entry cannot be read.
func inRow(n int64, err error) error { return fmt.Errorf("row %d: %w", n, err) }

// checkRow says what is wrong with a row of a journal: the first thing. Rows of a newer format are not known here.
func checkRow(r backend.Row) (newer bool, err error) {
	reader := rowReader{data: r.Data}
	for n := 0; ; n++ {
		var e entry
		at := reader.pos
		ok, err := reader.next(&e)
		if err != nil {
			return false, inRow(r.Number, err)
		}
		if !ok {
			break
		}
		if r.Number == 0 && n == 0 && e.version > journalVersion {
			return true, nil
		}
		if err := e.check(r.Number == 0 && n == 0); err != nil {
			at += max(bytes.IndexByte(r.Data[at:], '{'), 0)
			return false, inRow(r.Number, fmt.Errorf("%w: %w at byte %d", errRow, err, at))
		}
	}
	if err := notJSON(r.Data); err != nil { // the reader skips over what it does not need
		return false, inRow(r.Number, fmt.Errorf("%w: %s", errRow, strings.TrimPrefix(backend.Unreadable("data", err), "column data: ")))
	}
	return false, nil
}

// check says what is wrong with an entry, the first one of a run or another.
func (e *entry) check(first bool) error {
	kind := string(e.kind)
	switch kind {
	case entryAsk, entryRefused, entryDrop, entryBegin, entryHeld, entryFail, entryCrash, entryBack, entryGot, entryDone, entryFailed:
		if len(e.step) == 0 {
			return fmt.Errorf("entry %q without a step", kind)
		}
	case entryStart, entryTry, entryRerun, entryUpgrade, entryCancel, entrySignal, entryEnd:
	default:
		return fmt.Errorf("entry of unknown kind %q", kind)
	}
	switch {
	case first != (kind == entryStart):
		if first {
			return errors.New("the first entry does not begin the run")
		}
		return errors.New("another entry that begins the run")
	case first && e.value != nil:
		if err := json.Unmarshal(e.value, new(carried)); err != nil {
			return fmt.Errorf("what the run took over: %w", err)
		}
	case e.failure != nil:
		if err := json.Unmarshal(e.failure, new(activities.Failure)); err != nil {
			return fmt.Errorf("failure of entry %q: %w", kind, err)
		}
	}
	return nil
}
