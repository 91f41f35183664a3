package starlark

import (
	"errors"
	"time"
)

// Edition is the version of the built-ins and the interpreter's dialect. It is
// pinned beside the digest of an execution.
const Edition = 1

// Host is the world of one running script. Its methods are called by one
// goroutine at a time (the holder of the baton), though not always the same one.
type Host interface {
	// Issue asks for a durable command. nil: accepted, and its outcome will come through
	// Wait unless the command has none. A *Failure: refused, raised at
	// the call in the script. Any other error unwinds the script uncatchably, and Run returns it.
	Issue(c Command) error

	// Wait returns the next delivery in the order of the journal. It is called
	// when every branch waits. An error unwinds the script uncatchably, and Run returns it.
	Wait() (Delivery, error)

	// Now is the time of the entry last delivered (of the start before the first).
	Now() time.Time

	// Log keeps a line that the script printed.
	Log(l Line)

	// ChildID is the id of the child that a step starts, when the script names none.
	ChildID(step string) string

	// Publish tells what the script shows of itself: the stored form of an
	// object with progress, status, state and counters. It is called when that
	// has changed, before Wait or before Run returns, again on replay.
	Publish(shown []byte)
}

// FanOutHost is a host that wants to know how wide a fan-out is, of which at first only a part may have begun.
type FanOutHost interface {
	// FanOut tells that group, a path as branches have them, has so many tasks. It is called again on replay.
	FanOut(group string, tasks int)
}

// BusyHost is a host that may want a script to end which computes for long before it waits.
type BusyHost interface {
	// Busy is called now and then while the script computes. An error unwinds it as that of Wait does.
	Busy() error
}

// CopyHost is a host whose run may have begun as a copy of another one.
type CopyHost interface {
	// Known makes of what a script may know of its execution what it knows where it stands: while it repeats what another run
	// has done, what that run knew. Origin names the run whose random numbers are drawn. It changes
	// between two deliveries, on replay between the same ones.
	Known(i *Info)
}

// ErrEvicted is what a host's Wait or Issue returns to unwind a script that is
// to be run again later.
var ErrEvicted = errors.New("evicted")

// CommandKind says what a command asks for; it is journaled as its word.
type CommandKind string

// The kinds of commands.
const (
	CallActivity CommandKind = "activity" // Name, Args, Kwargs, Options: delivers its outcome
	StartTimer   CommandKind = "timer"    // Delay: delivers null when due
	CancelStep   CommandKind = "cancel"   // Step names the step to be cancelled; delivers nothing itself,
	// the cancelled step still delivers one outcome: its own when that came first, else a failure of kind Cancelled
	AwaitSignal CommandKind = "wait_signal"      // Name: a branch waits for a signal; delivers nothing, CancelStep ends it
	SendSignal  CommandKind = "signal"           // Target, Name, Args (the payload): delivers null, or NotFound or Closed
	CancelOther CommandKind = "cancel_execution" // Target, Name (the reason): delivers null, or NotFound
	AwaitResult CommandKind = "result"           // Target: delivers the outcome of another execution
	StartChild  CommandKind = "workflow"         // Name or Function, Args, Kwargs, Target (the child's id), Child: delivers its outcome
)

// Command is something durable that a script asks for.
type Command struct {
	Kind    CommandKind
	Step    string // its own name; with CancelStep the step to be cancelled
	Name    string // activity, signal or workflow
	Target  string // execution id
	Args    []byte // stored form: JSON array of the positional arguments
	Kwargs  []byte // stored form: JSON object of the keyword arguments, nil when none
	Options *ActivityOptions
	Child   *ChildOptions
	Delay   time.Duration
	Limit   bool   // with StartTimer: it bounds a wait, and does not run while nothing else of the script does; not journaled
	Pos     string // file:line:col of the call, for errors and displays
}

// ActivityOptions are the options that a script gave; nil fields were not given.
type ActivityOptions struct {
	Retry         *RetryPolicy   `json:"retry,omitempty"`
	Timeout       *time.Duration `json:"timeout,omitempty"`
	StartTimeout  *time.Duration `json:"start_timeout,omitempty"`
	Heartbeat     *time.Duration `json:"heartbeat,omitempty"`
	Queue         *string        `json:"queue,omitempty"`
	Priority      *int           `json:"priority,omitempty"`
	Tags          []string       `json:"tags,omitzero"` // empty: none, whatever the registration says
	Idempotent    *bool          `json:"idempotent,omitempty"`
	Key           *string        `json:"key,omitempty"` // a key function is called at the call site; this is its result
	Cached        *bool          `json:"cached,omitempty"`
	CacheTTL      *time.Duration `json:"cache_ttl,omitempty"`
	Version       *string        `json:"version,omitempty"`
	MaxConcurrent *int           `json:"max_concurrent,omitempty"`
	Rate          *string        `json:"rate,omitempty"`
	MaxCrashes    *int           `json:"max_crashes,omitempty"`
	Pure          *bool          `json:"pure,omitempty"`
}

// ChildOptions are the options of a workflow handle; nil fields were not given.
type ChildOptions struct {
	Function      string         `json:"function,omitempty"` // of this program, when no workflow is named; see Program.Run
	Queue         *string        `json:"queue,omitempty"`
	Priority      *int           `json:"priority,omitempty"`
	Tags          []string       `json:"tags,omitempty"`
	Expiry        *time.Duration `json:"expiry,omitempty"`
	Timeout       *time.Duration `json:"timeout,omitempty"`         // an attempt that takes longer is cancelled and has failed
	Retry         *RetryPolicy   `json:"retry,omitempty"`           // nil: one attempt
	OnParentClose string         `json:"on_parent_close,omitempty"` // cancel, abandon or wait
}

// RetryPolicy is what retry_policy(...) says.
type RetryPolicy struct {
	MaxAttempts   int           `json:"max_attempts"`
	InitialDelay  time.Duration `json:"initial_delay"`
	BackoffFactor float64       `json:"backoff_factor"`
	MaxDelay      time.Duration `json:"max_delay"`
	Jitter        float64       `json:"jitter"`
	RetryFor      []string      `json:"retry_for,omitempty"`
	NoRetryFor    []string      `json:"no_retry_for,omitempty"`
}

// DeliveryKind says what is delivered.
type DeliveryKind string

// The kinds of deliveries.
const (
	StepOutcome     DeliveryKind = "outcome" // Step with Value or Failure
	CancelExecution DeliveryKind = "cancel"  // the user cancels: Cancelled is raised at the waits; Failure says why
	SignalArrived   DeliveryKind = "signal"  // Name, Value
)

// Delivery is one thing that came, in the order of the journal.
type Delivery struct {
	Kind    DeliveryKind
	Step    string
	Name    string
	Value   []byte   // stored form
	Failure *Failure // set instead of Value
	Final   bool     // of CancelExecution: what the script returns after it does not count
}

// Failure is an error as data. Its JSON form is the one that journals,
// results and activities use.
type Failure struct {
	Kind      string   `json:"kind"`
	Message   string   `json:"message"`
	Data      []byte   `json:"-"` // stored form of a JSON object, nil when none; "data" in JSON
	Attempts  int      `json:"attempts,omitempty"`
	Activity  string   `json:"activity,omitempty"`
	Cause     *Failure `json:"cause,omitempty"`
	Traceback string   `json:"traceback,omitempty"` // Starlark backtrace, or the stack of a panic
	NoRetry   bool     `json:"no_retry,omitempty"`
	Step      string   `json:"-"` // whose outcome it is, as long as the script has it in hand; not stored
}

// Line is a line that the script printed.
type Line struct {
	Branch  string // path of the branch, "" for main
	Level   string // print, debug, info, warn, error
	Message string
	Fields  []byte // plain JSON object, nil when none
}

// Continuation is how Run ends when the script begins its next run. What it
// carries over is given to that run: Input as its input, Shown as
// Options.Shown, Signals as deliveries before all others.
type Continuation struct {
	Input   []byte
	Pin     bool // keep the code, also when a newer one is deployed
	Shown   []byte
	Signals []Delivery // not yet consumed
}

func (c *Continuation) Error() string { return "the execution continues as a new run" }

// StuckError says that a script cannot be advanced (its turn does not end).
// Run returns it; the script has not failed.
type StuckError struct {
	Reason string // with file:line
}

func (e *StuckError) Error() string { return e.Reason }
