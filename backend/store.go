package backend

import (
	"context"
	"time"
)

// Store is a database of executions. Every method is one transaction (Revoke:
// several, each safe to repeat) and is safe for concurrent use. Errors wrap
// the sentinels of this package; anything else is a fault whose effect is
// unknown and which may be retried: ids are made before the first try, and a
// row that names our session says that the batch has landed.
type Store interface {
	// Deploy stores programs and deployments. The sources of a known digest are written again when they are not those that
	// are stored: these are damaged, then, and this is what mends them.
	// It returns the deployments as stored. One whose digest is the workflow's
	// newest already is not stored again and comes back as it stands.
	Deploy(ctx context.Context, programs []Program, deployments []Deployment) ([]Deployment, error)

	// Commit writes a batch whole or not at all. It fails with ErrFenced when
	// the session is gone, with a *TurnError when one turn may not land, and with ErrNoProgram
	// when a new execution's program is missing.
	Commit(ctx context.Context, b Batch) (Reply, error)

	// Claim gives due executions to a session. ErrFenced as Commit. What a claim gave whose reply was lost is
	// found by its owner: Filter.Owner, and TaskFilter.Owner after ClaimTasks.
	Claim(ctx context.Context, r ClaimRequest) ([]Claimed, error)

	// NextDue is when the next execution or task of these queues is due that nobody owns and that is not due yet, or when a task
	// of any queue that nobody owns must have begun, if that is sooner; the zero time when there is none. Tags and
	// editions do not count: it says when to look, not what will be found.
	NextDue(ctx context.Context, queues []string) (time.Time, error)
	// ClaimTasks gives due tasks to a session. ErrFenced as Commit. Tasks that nobody has begun in time become Outcomes named
	// TaskExpired; with a Limit of zero nothing else happens, and a session is asked for only when there are any.
	ClaimTasks(ctx context.Context, r TaskRequest) (ClaimedTasks, error)

	// Rerun begins a run after the last, with the signals that this one has left in the inbox. ErrNotFound; ErrConflict when the
	// execution has not ended, has another run by now, or the new id is taken; ErrNoProgram.
	Rerun(ctx context.Context, r Rerun) error

	// ClearMemos removes stored results of an activity, "" all; it returns how many.
	ClearMemos(ctx context.Context, activity string) (int64, error)

	// Discard removes dead letters; it returns how many there were.
	Discard(ctx context.Context, ids []int64) (int64, error)

	// Collect removes executions that ended long ago with all that belongs to
	// them, expired memos, and, when there is no more of either, what nothing refers to any more. It is
	// to be called again while there is Collected.More.
	Collect(ctx context.Context, r Retention) (Collected, error)

	// Receive returns all messages in the inboxes of the executions that the
	// session owns, in order per execution, also those returned before and not yet taken.
	Receive(ctx context.Context, s SessionID) ([]Message, error)

	// Open begins a session; s.ID is ignored. It returns the id and the database's time.
	Open(ctx context.Context, s Session) (SessionID, time.Time, error)

	// Beat advances the session's counter, stores info, and tells what an idle worker has to know. ErrFenced when the session is gone.
	Beat(ctx context.Context, id SessionID, info []byte) (Beaten, error)

	// Revoke ends a session: deletes its row, then frees what it owned, due
	// at once. Revoking an unknown session frees what it may have left owned;
	// revoking session zero frees what is owned by any session that is gone,
	// which is what a Revoke that died half-way leaves.
	Revoke(ctx context.Context, id SessionID) error

	Reader

	// Check verifies every invariant over the whole store and returns one
	// error per violation.
	Check(ctx context.Context) []error

	Close() error
}

// Reader looks without changing anything; readers never wait for writers. A limit of zero is none.
type Reader interface {
	// Now is the database's time, by which Due, Expires and what Retention names are meant.
	Now(ctx context.Context) (time.Time, error)
	// Execution returns ErrNotFound for an unknown id.
	Execution(ctx context.Context, id string) (Execution, error)
	List(ctx context.Context, f Filter) ([]Execution, error)
	// Journal calls row for every row of a run from number from on, in order.
	// Data is valid during the call only. It stops at the first error of row.
	Journal(ctx context.Context, run RunKey, from int64, row func(Row) error) error
	// Runs returns the runs of an execution, oldest first, from a number on; none for an unknown id.
	Runs(ctx context.Context, id string, from int) ([]Run, error)
	// Logs returns the lines of a run with Ordinal >= from, at most limit.
	Logs(ctx context.Context, run RunKey, from int64, limit int) ([]LogLine, error)
	// Inbox returns the messages of an execution that no turn has taken, in order; none for an unknown id.
	Inbox(ctx context.Context, id string) ([]Message, error)
	// Program returns ErrNotFound for an unknown digest.
	Program(ctx context.Context, digest string) (Program, error)
	// Programs returns programs by digest, those after one ("": from the first), at most limit.
	Programs(ctx context.Context, after string, limit int) ([]Program, error)
	// Deployments returns a workflow's deployments, newest first; with "" the newest of every workflow, by name.
	Deployments(ctx context.Context, workflow string) ([]Deployment, error)
	Sessions(ctx context.Context) ([]Session, error)
	// Tasks returns tasks, by key; those that wait best first.
	Tasks(ctx context.Context, f TaskFilter) ([]Task, error)
	Memos(ctx context.Context, f MemoFilter) ([]Memo, error)
	DeadLetters(ctx context.Context, f LetterFilter) ([]DeadLetter, error)
	Stats(ctx context.Context, since time.Time) (Stats, error)
}

// Backuper is an optional ability: a copy of the database, taken while it is in use.
type Backuper interface {
	// Backup writes a copy into a file that does not exist yet.
	Backup(ctx context.Context, path string) error
}

// Pooler is an optional ability: how the store's connections are used.
type Pooler interface {
	Pool() Pool
}

// Pool is the use of a pool of connections at one moment.
type Pool struct {
	Max    int           // how many there may be
	InUse  int           // how many work now
	Waits  int64         // how often one had to be waited for, since the store was opened
	Waited time.Duration // how long in all
}

// Pipeliner is an optional ability: how many transactions of one process are worth having in flight at once. Without it: one.
type Pipeliner interface {
	Commits() int
}

// Versioner is an optional ability: a cheap number that changes whenever
// another process may have changed the database, so that an idle worker need
// not run its claim query.
type Versioner interface {
	Version(ctx context.Context) (int64, error)
}
