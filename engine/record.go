// What a worker knows of an execution that it holds.

package engine

import (
	"time"

	"github.com/senpuki/senpuki/backend"
)

// heldRecord is backend.Execution without what only one that is not held has. Many wait at a time, so it is as small as it can be.
type heldRecord struct {
	ID                          string
	Run                         backend.RunKey
	RunNumber                   int
	Workflow, Digest            string
	Edition                     int
	Function                    string
	Input                       []byte
	Queue                       string
	Priority                    int
	Tags                        []string
	Parent, ParentStep          string
	ParentRun                   backend.RunKey
	Depth                       int
	expires, created, startedAt int64 // microseconds since 1970; 0: never
	Published, Extra            []byte
	Stuck                       *backend.Stuck
	Damage                      string
}

func heldRecordOf(x *backend.Execution) heldRecord {
	return heldRecord{
		ID: x.ID, Run: x.Run, RunNumber: x.RunNumber, Workflow: x.Workflow, Digest: x.Digest, Edition: x.Edition,
		Function: x.Function, Input: x.Input, Queue: x.Queue, Priority: x.Priority, Tags: x.Tags,
		Parent: x.Parent, ParentStep: x.ParentStep, ParentRun: x.ParentRun, Depth: x.Depth,
		expires: micro(x.Expires), created: micro(x.Created), startedAt: micro(x.Started),
		Published: x.Published, Extra: x.Extra, Stuck: x.Stuck, Damage: x.Damage,
	}
}

// execution is the record as others know it, of one that runs.
func (r *heldRecord) execution() backend.Execution {
	return backend.Execution{
		ID: r.ID, Run: r.Run, RunNumber: r.RunNumber, Workflow: r.Workflow, Digest: r.Digest, Edition: r.Edition,
		Function: r.Function, Input: r.Input, State: backend.Running, Queue: r.Queue, Priority: r.Priority, Tags: r.Tags,
		Parent: r.Parent, ParentStep: r.ParentStep, ParentRun: r.ParentRun, Depth: r.Depth,
		Expires: fromMicro(r.expires), Created: fromMicro(r.created), Started: fromMicro(r.startedAt),
		Published: r.Published, Extra: r.Extra, Stuck: r.Stuck, Damage: r.Damage,
	}
}

// asEnded is the execution as others know it, when it has just ended, else nil.
func (x *execution) asEnded() *backend.Execution {
	t := x.final
	if t == nil {
		return nil
	}
	r := x.rec.execution()
	r.State, r.Result, r.Failure, r.Finished, r.Stuck = t.State, t.Result, t.Failure, fromMicro(x.landedAt), nil
	return &r
}

// micro is a time in microseconds since 1970; see fromMicro.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
