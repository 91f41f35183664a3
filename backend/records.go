package backend

import (
	"encoding/json"
	"math"
	"time"
)

// RunKey is the store-internal key of one run. Journal rows, log lines and
// tasks belong to a run.
type RunKey int64

// SessionID names a worker's session. Zero means nobody.
type SessionID int64

// State is the state of an execution; stored as its word.
type State string

// The states of an execution. All but Pending and Running are terminal.
const (
	Pending   State = "pending"
	Running   State = "running"
	Completed State = "completed"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	TimedOut  State = "timed_out"
)

// States are all states, in the order in which an execution may be in them.
func States() []State { return []State{Pending, Running, Completed, Failed, Cancelled, TimedOut} }

// Terminal reports whether s is an end.
func (s State) Terminal() bool { return s != Pending && s != Running }

// Program is the immutable source of a load closure.
type Program struct {
	Digest  string
	Sources []byte // JSON, written and read by the engine
	Created time.Time
}

// Deployment binds a workflow name to a program; every one is kept.
type Deployment struct {
	Workflow string
	Version  int // 1, 2, 3, ... per workflow; assigned by the store
	Digest   string
	By, Note string
	At       time.Time
}

// Stuck says why an execution cannot be advanced.
type Stuck struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Tries  int       `json:"tries"` // turns that failed in a row; sets the back-off
}

// Execution is one workflow under way, or ended.
type Execution struct {
	ID         string
	Run        RunKey // latest run
	RunNumber  int    // counts from 1
	Workflow   string
	Digest     string
	Edition    int
	Function   string
	Input      []byte // plain JSON
	State      State
	Result     []byte // stored value when Completed
	Failure    []byte // JSON failure when Failed, Cancelled or TimedOut
	Queue      string
	Priority   int
	Tags       []string
	Parent     string // id of the parent execution, or ""
	ParentStep string
	ParentRun  RunKey    // the parent's run that asked for it
	Depth      int       // 0, or one more than the parent's
	Owner      SessionID // zero: nobody
	Due        time.Time // when an ownerless execution may next be claimed; zero: only when a message comes
	Expires    time.Time // zero: never
	Created    time.Time
	Started    time.Time // first claim; zero before
	Finished   time.Time
	Published  []byte // JSON: what the script last published
	Extra      []byte // JSON written and read by the engine, never changed
	Stuck      *Stuck
	Damage     string // which columns cannot be read, and why; "": none. Found when it is read, not stored; what cannot be read is zero
}

// NewExecution asks for an execution.
type NewExecution struct {
	ID         string
	Workflow   string
	Digest     string
	Edition    int
	Function   string
	Input      []byte
	Queue      string
	Priority   int
	Tags       []string
	Parent     string
	ParentStep string
	ParentRun  RunKey
	Depth      int
	Due        time.Time // zero: now
	Expires    time.Time
	Extra      []byte
	Claim      bool   // born owned by Batch.Session, state running
	First      []byte // with Claim: row 0 of its journal, written with it; nil: none
	Replaces   string // of a child: the one begun before as the same step, whose dead letters go, for what they tell of is tried again
}

// Run is one life of an execution.
type Run struct {
	Key     RunKey
	Number  int // counts from 1
	Created time.Time
}

// Row is one journal row.
type Row struct {
	Number  int64
	Session SessionID // who wrote it
	Data    []byte
}

// MessageKind says what a message is; stored as its word.
type MessageKind string

// The kinds of messages.
const (
	Signal  MessageKind = "signal"  // Name, Payload
	Outcome MessageKind = "outcome" // of a task, a child or an execution that is watched: Run, Step, Attempt, Payload
	Cancel  MessageKind = "cancel"  // Payload: why, in plain text
	Expire  MessageKind = "expire"
	Upgrade MessageKind = "upgrade" // Payload: digest
	Notice  MessageKind = "notice"  // what a commit found out about what a turn asked for: Run, Step, Name
)

// The names of notices.
const (
	Delivered = "delivered" // a message is in the inbox of its addressee
	NotFound  = "not_found" // there is no such execution
	Closed    = "closed"    // the execution has ended
	Taken     = "taken"     // a child's id belongs to another execution
)

// Message is what reaches an execution from outside. The Outcome of a child or of an execution that is watched
// has its end state as Name and its result or failure as Payload.
type Message struct {
	ID        int64  // assigned by the store
	Execution string // public id of the addressee
	Kind      MessageKind
	Name      string
	Run       RunKey // the addressee's run that it is meant for; zero: any
	Step      string
	Attempt   int
	Payload   []byte
	Sent      time.Time
}

// Order is a message that a turn sends to another execution. The store answers
// with a Notice for Answer, a step of the turn's execution, in the same
// transaction; without Answer the message may be lost on an execution that has ended.
type Order struct {
	Message
	Answer string
}

// Watch asks for the Outcome of another execution, as Step of the turn's
// execution. An execution that has ended answers at once; an unknown one with a Notice.
// With Over the step, which asked before, does not wait any more: what was not sent by now is not sent.
type Watch struct {
	Execution string
	Step      string
	Over      bool
}

// NextRun is the run that follows one which ends by Continue.
type NextRun struct {
	Digest      string
	Edition     int
	Rows        [][]byte // the first rows of its journal
	DropLetters bool     // the dead letters of the run that ends go: what they tell of is tried again
}

// LogLine is a line that a script printed. Ordinal counts from 0 per run.
type LogLine struct {
	Ordinal int64
	At      time.Time
	Step    string // branch path, "" for main
	Level   string // print, debug, info, warn, error
	Message string
	Fields  []byte // JSON object, or nil
}

// Task is an attempt of a step that any worker which serves its queue may run.
type Task struct {
	Key       int64  // assigned by the store
	Execution string // public id
	Run       RunKey
	Step      string
	Attempt   int
	Activity  string
	Queue     string
	Priority  int
	Tags      []string
	Due       time.Time // zero: now
	Expires   time.Time // must have begun by then; zero: never
	Limit     *Limit
	Owner     SessionID
	Created   time.Time
	Began     time.Time // when its owner claimed it
	Withdrawn bool      // while it ran: its owner is to end it
	Input     []byte    // what the engine needs to run it
	Damage    string    // as Execution.Damage
}

// Limit bounds the attempts of one activity over the whole store, among those that have a limit. Zero fields do not bound. What
// began under another rate counts for as long as that one looks back, too, and no longer.
type Limit struct {
	Max  int           `json:"max,omitempty"`  // at once
	Rate int           `json:"rate,omitempty"` // begun within Per
	Per  time.Duration `json:"per,omitempty"`  // nanoseconds
}

// Bound names the limit of a task that has one: the activity whose attempts are counted, and what bounds them. Calls of one activity
// may have several.
func (k *Task) Bound() string {
	b, _ := json.Marshal(k.Limit) // numbers: never fails
	return k.Activity + string(b)
}

// TaskRef names a task of a turn's own run, to be withdrawn. One that nobody runs becomes an Outcome named TaskWithdrawn, at once or
// when its owner gives it back; one that runs is Withdrawn, and has the Outcome that its owner settles it with. One that is gone has had its own.
type TaskRef struct {
	Step    string
	Attempt int
}

// Settled is what became of a task that a session owned: an Outcome of that name and payload.
type Settled struct {
	Key     int64
	Name    string
	Payload []byte
}

// The names of Outcomes of tasks.
const (
	TaskDone      = "done"
	TaskFailed    = "failed"
	TaskCrashed   = "crashed"       // its session was revoked
	TaskExpired   = "start_timeout" // nobody began it in time
	TaskWithdrawn = "withdrawn"     // nobody runs it
)

// TaskRequest asks for tasks: due, ownerless, of these queues, of these
// activities, with all their tags among these; highest priority first, then
// oldest due. Executions, when given, restricts it to tasks of those, whatever their queue and tags.
type TaskRequest struct {
	Session    SessionID
	Queues     []string
	Tags       []string
	Activities []string
	Executions []string
	Limit      int
}

// ClaimedTasks is what came of a request for tasks.
type ClaimedTasks struct {
	Tasks  []Task
	Late   bool      // tasks that nobody had begun in time became Outcomes
	GoesOn time.Time // when the first of those is let begin that only the rate of their activity has kept; zero: there were none
}

// Kept notes until when the rate of an activity keeps a task.
func (c *ClaimedTasks) Kept(until time.Time) {
	if c.GoesOn.IsZero() || until.Before(c.GoesOn) {
		c.GoesOn = until
	}
}

// TaskFilter selects tasks; zero fields select everything.
type TaskFilter struct {
	Execution string
	Queue     string
	Activity  string
	Owner     SessionID
	Waiting   bool  // due and without an owner, best first; else all, by key
	Key       int64 // of one
	After     int64 // pages: those with a higher key
	Limit     int   // zero: all
	Bare      bool  // without their Input, of which there may be much
}

// Keys are the lowest and the highest key that it selects.
func (f *TaskFilter) Keys() (low, high int64) {
	if f.Key != 0 {
		return f.Key, f.Key
	}
	return f.After + 1, math.MaxInt64
}

// Reservation asks for a memo: a result that is shared between executions, by
// what it was called with. The answer is a Notice for the step: Reserved when
// the step is to compute it, Hit with the result as Payload, at once or when the one who computes it has.
type Reservation struct {
	Step     string
	Hash     string
	Activity string
	Key      string // what people see of what it was called with
}

// MemoResult ends the reservation of a step. Without Result the key is free again, for
// the first who waits for it.
type MemoResult struct {
	Step    string
	Hash    string
	Result  []byte
	Expires time.Time // zero: never
}

// The names of notices about memos.
const (
	Reserved = "reserved"
	Hit      = "hit"
)

// Memo is a stored result, or its reservation.
type Memo struct {
	Hash      string
	Activity  string
	Key       string
	Execution string // who computed it, or does; "" when that was collected
	Step      string
	Created   time.Time
	Expires   time.Time
	Waiting   int    // how many steps wait for it
	Result    []byte // nil: reserved
}

// MemoFilter selects memos; zero fields select everything. Newest first.
// Before pages: memos created before that (Created, Hash) pair.
type MemoFilter struct {
	Hash       string
	Activity   string
	BeforeAt   time.Time
	BeforeHash string
	Limit      int // zero: all
}

// DeadLetter is a step whose attempts are used up.
type DeadLetter struct {
	ID        int64 // assigned by the store
	Execution string
	Run       RunKey
	Step      string
	Activity  string
	Attempts  int
	At        time.Time
	Failure   []byte
	Input     []byte // JSON written and read by the engine: arguments, options, source line
}

// LetterFilter selects dead letters; zero fields select everything. Newest first.
type LetterFilter struct {
	ID        int64 // of one
	Execution string
	Before    int64 // pages: those with a lower id
	Limit     int   // zero: all
}

// IDs are the lowest and the highest id that it selects.
func (f *LetterFilter) IDs() (low, high int64) {
	switch {
	case f.ID != 0:
		return f.ID, f.ID
	case f.Before != 0:
		return 1, f.Before - 1
	}
	return 1, math.MaxInt64
}

// Rerun begins another run of an execution that has ended, or with ID a new
// execution like it, with rows to begin its journal with. It is ownerless and due.
type Rerun struct {
	Execution string
	Run       RunKey // its latest run; another one means that somebody was faster
	ID        string // not empty: of a new execution, whose parent it does not have
	Digest    string
	Edition   int
	Rows      []Row     // numbered from 0
	Messages  []Message // for its inbox, ahead of the signals that the last run has left there
	Queue     string    // not empty: of the new run
	Letters   []int64   // dead letters that go: of steps which are run again
}

// Stats is a count of what a store holds.
type Stats struct {
	States map[State]int64
	Queues []QueueStats // by name
	Stuck  int64
	Dead   int64
	Memos  int64
	Since  time.Time // of the two below
	Ended  int64     // executions that ended since
	Failed int64     // of them, neither completed nor cancelled
}

// QueueStats is a queue's depth.
type QueueStats struct {
	Queue     string
	Pending   int64 // executions that are due and ownerless
	Tasks     int64 // tasks that are due and ownerless
	OldestDue time.Time
}

// Retention says what Collect removes: what ended before these times, zero keeps everything.
type Retention struct {
	Completed time.Time
	Failed    time.Time // failed, cancelled, timed out
	Limit     int       // executions at most; zero: all
	Rows      int       // memos at most, and journal rows and log lines after which no further execution is removed; zero: all
	DryRun    bool      // only count; Rows and, for programs, Limit are of no consequence
}

// Collected is what Collect removed.
type Collected struct {
	Executions, Memos, DeadLetters, Programs int64
	More                                     bool // it has come to Retention.Limit or Rows, and has not looked for programs
}

// Then says what becomes of an execution when a turn has landed.
type Then int

// What may follow a turn.
const (
	Hold     Then = iota // its owner keeps it
	Release              // ownerless, due at Turn.Due
	Finish               // terminal: Turn.State, Result or Failure; signals stay in the inbox unless it is Completed
	Continue             // its owner keeps it and a new run begins: Turn.Next
)

// Turn is what one execution writes in a batch.
type Turn struct {
	Execution string
	Run       RunKey
	First     int64    // number of the first row; must be the next of the journal
	Rows      [][]byte // none, one, or more when the turn is oversized
	Taken     []int64  // ids of inbox messages that this turn takes
	Logs      []LogLine
	Published []byte         // nil: unchanged
	Children  []NewExecution // ParentStep is the step; one whose id is taken by another execution answers with a Notice
	Orders    []Order
	Watches   []Watch
	Tasks     []Task
	Withdraw  []TaskRef // also of those that come with this turn
	Reserve   []Reservation
	Memos     []MemoResult
	Dead      []DeadLetter
	Stuck     *Stuck // set: cannot be advanced; a landed turn with rows clears an earlier one
	Then      Then
	Due       time.Time // with Release: zero waits for a message
	State     State     // with Finish: a terminal state
	Result    []byte    // with Finish
	Failure   []byte    // with Finish
	Digest    string    // not empty: the execution moves to this program
	Next      *NextRun  // with Continue
}

// Ordinary reports whether a turn writes nothing but journal rows, log lines, tasks, dead letters and what it publishes, takes messages,
// and holds, releases or finishes: stores may land many such turns at once. A field that is added here must turn it false, or be landed there.
func (t *Turn) Ordinary() bool {
	return t.Stuck == nil && t.Digest == "" && len(t.Children) == 0 && len(t.Orders) == 0 &&
		len(t.Watches) == 0 && len(t.Withdraw) == 0 && len(t.Reserve) == 0 && len(t.Memos) == 0 && t.Then != Continue
}

// OnlyRows reports whether all that a turn writes beside its end or release is journal rows.
func (t *Turn) OnlyRows() bool {
	return t.Ordinary() && len(t.Taken) == 0 && len(t.Logs) == 0 && len(t.Tasks) == 0 && len(t.Dead) == 0 && t.Published == nil
}

// Batch is one transaction. Session may be zero when there are no Turns, no Claim and no
// Claim among Create. The turns of one execution land in their order, those of
// different ones in any: whether a message that one of them sends is there when another releases
// its addressee is for the store to say. Either way the addressee comes to know of it.
type Batch struct {
	Session SessionID
	Create  []NewExecution
	Turns   []Turn
	Send    []Message
	Settle  []Settled     // tasks that the session owns
	Back    []int64       // keys of tasks that the session gives back unfinished
	Claim   *ClaimRequest // what Session takes when all else has landed, by queues; nil: nothing
}

// OnlyTurns reports whether a batch has turns and nothing else.
func (b *Batch) OnlyTurns() bool {
	return len(b.Turns) > 0 && len(b.Create)+len(b.Send)+len(b.Settle)+len(b.Back) == 0 && b.Claim == nil
}

// Reply says what a batch found out, item by item. None of it undoes the batch.
type Reply struct {
	Created []Created   // one per Batch.Create
	Turns   []TurnReply // one per Batch.Turns
	Sent    []error     // one per Batch.Send: nil, ErrNotFound or ErrClosed
	Settled []bool      // one per Batch.Settle: false when the session did not own the task any more
	Claimed []Claimed   // by Batch.Claim
	Told    []string    // executions that were told of an end: parents, and those who watched; some more than once
	Woken   bool        // what was sent, asked for by Orders, settled, given back, or told of an end has made an execution due that nobody owns
	Now     time.Time   // the transaction's time
}

// Created is the outcome of one NewExecution. When the id existed already
// nothing is changed and Existing is that execution.
type Created struct {
	Run      RunKey
	Existing *Execution
}

// TurnReply is the outcome of one landed turn.
type TurnReply struct {
	Kept bool   // Release was asked and the inbox was not empty: still owned
	Run  RunKey // the new run of a turn that continues
}

// ClaimRequest asks for work. IDs, when given, restricts the claim to those
// executions, whatever their queue, tags and, unless OnlyDue, due time; with Expired
// it takes those whose expiry has passed, whatever their queue and tags; otherwise due, ownerless executions
// of the queues are taken, highest priority first, then oldest due, with Begun only those that are Running.
type ClaimRequest struct {
	Session  SessionID // of Store.Claim; that of a batch is the batch's
	Queues   []string
	Tags     []string // an execution is taken when all its tags are among these
	Editions []int
	IDs      []string
	OnlyDue  bool
	Expired  bool
	Begun    bool
	Limit    int
}

// Claimed is an execution that the session now owns, as it stands after the
// claim, with its inbox. Fresh says that no run of it was ever claimed before: its journal is empty.
type Claimed struct {
	Execution
	Fresh bool
	Inbox []Message
}

// Beaten is what a session's beat finds.
type Beaten struct {
	At       time.Time // the database's time
	Expired  bool      // the time of an execution that nobody owns is up: ClaimRequest.Expired
	Sessions []Session // all that there are, in the order of their ids; the one that beats as it is or as it was
}

// Session is a live worker process.
type Session struct {
	ID      SessionID
	Beat    int64 // heartbeat counter
	Host    string
	Boot    string // boot id of the machine, "" unknown
	PIDNS   string // PID namespace, "" unknown
	PID     int
	Started string    // process start time in the kernel's own count, "" unknown
	Opened  time.Time // database time
	Info    []byte    // JSON: queues, tags, activities, what runs now
}

// Filter selects executions for [Reader.List]; zero fields select everything.
// Newest first. Owner is the session that drives them. Before pages: executions created before that (Created, ID) pair.
type Filter struct {
	States   []State
	Stuck    bool // those that are stuck, besides those of States
	Workflow string
	Queue    string
	Tag      string
	Parent   string
	Since    time.Time
	IDPrefix string
	IDs      []string // nil: any
	Owner    SessionID
	BeforeAt time.Time
	BeforeID string
	Limit    int // zero: all
}
