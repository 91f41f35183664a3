// Dispatching many executions at once.

package engine

import (
	"context"
	"fmt"

	"github.com/senpuki/senpuki/backend"
)

// Job is one of many executions to be dispatched.
type Job struct {
	Input   Input
	Options DispatchOptions
}

// maxCreated is how many executions one transaction of DispatchAll creates.
const maxCreated = 500

// DispatchAll begins many executions of a workflow for the workers, in few transactions, and returns
// their ids in order. All are checked first, and nothing is stored when one is refused. A job whose id is taken by another
// execution keeps no other from being dispatched: its id is returned as "", and the first such job is the error, a
// *ConflictError. When the database fails, those are dispatched whose ids are returned: jobs with ids of their own can
// be dispatched again.
func (e *Engine) DispatchAll(ctx context.Context, workflow string, jobs []Job) ([]string, error) {
	ids := make([]string, len(jobs))
	made := make([]backend.NewExecution, len(jobs))
	for i, j := range jobs {
		n, err := e.newExecution(ctx, workflow, j.Input, j.Options)
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", i, err)
		}
		ids[i], made[i] = n.ID, *n
	}
	var taken error
	for first := 0; first < len(made); {
		chunk := made[first:]
		chunk = chunk[:fit(min(maxCreated, len(chunk)), func(i int) int { return sizeOfNew(chunk[i]) })]
		reply, err := e.store.Commit(ctx, backend.Batch{Create: chunk})
		if err != nil {
			return ids[:first], storedError(err, &chunk[0])
		}
		for i, c := range reply.Created {
			n := first + i
			if err := conflict(&chunk[i], c.Existing); err != nil {
				if ids[n] = ""; taken == nil {
					taken = fmt.Errorf("job %d: %w", n, err)
				}
			} else if jobs[n].Options.Here && (c.Existing == nil || !c.Existing.State.Terminal()) {
				e.mark(ids[n])
			}
		}
		e.tellNow(ctx, hintOf(chunk))
		if w := e.current(); w != nil {
			for i := range chunk {
				w.expect(chunk[i].Due)
			}
			w.newWork()
		}
		first += len(chunk)
	}
	return ids, taken
}

// hintOf says what new executions mean to workers.
func hintOf(list []backend.NewExecution) (h backend.Hint) {
	for i := range list {
		h.Merge(backend.Hint{Queues: []string{list[i].Queue}, Due: list[i].Due})
	}
	return h
}
