// What an engine tells an observer.

package engine

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/starlark"
)

// Observer is told what happens to the executions that an engine holds, as it
// happens; what it is told is not always durable yet. Observe is called by many goroutines and must neither block nor panic.
type Observer interface {
	Observe(Event)
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	ExecutionStarted   EventKind = "execution_started"
	ExecutionResumed   EventKind = "execution_resumed"
	ExecutionContinued EventKind = "execution_continued" // as a new run; Attempt is its number
	StepAsked          EventKind = "step_asked"          // again when a resumed execution stands where it stood
	AttemptStarted     EventKind = "attempt_started"
	AttemptFailed      EventKind = "attempt_failed" // Failure; Retry says when the next one is due
	StepElsewhere      EventKind = "step_elsewhere" // this process lacks the activity: a worker of Queue that has it may run it; again as StepAsked
	StepDone           EventKind = "step_done"
	StepFailed         EventKind = "step_failed"    // Failure
	StepCancelled      EventKind = "step_cancelled" // by the script
	Logged             EventKind = "logged"         // Line
	Published          EventKind = "published"      // Shown
	FannedOut          EventKind = "fanned_out"     // Step is the group, Tasks how many it has
	ExecutionEnded     EventKind = "execution_ended"
	ExecutionStuck     EventKind = "execution_stuck" // Failure says why
)

// Event is one thing that happened.
type Event struct {
	Kind      EventKind
	Execution string
	Step      string
	Name      string // activity, workflow, "sleep", "signal NAME" that is waited for, "send_signal NAME", "execution.cancel" or "execution.result"
	Attempt   int
	At        time.Time
	Retry     time.Time
	Failure   *activities.Failure
	Line      *LogLine
	Shown     json.RawMessage // progress, status, state and counters of the script
	Tasks     int
	Queue     string
	Memo      string // hash of the result that a step which is asked for shares, and may have to wait for
}

// LogLine is a line that a script printed.
type LogLine struct {
	Run     int             `json:"run"` // counts from 1
	Ordinal int64           `json:"ordinal"`
	At      time.Time       `json:"at"`
	Branch  string          `json:"branch,omitempty"`
	Level   string          `json:"level"`
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitempty"`
}

// listening is a wait for a signal, which the script itself ends: kept for observers only.
type listening struct{ step, name string }

// listens notes a wait for a signal.
func (x *execution) listens(c *starlark.Command) {
	if !x.proof && x.w.options.Observer != nil {
		x.listening = append(x.listening, listening{c.Step, c.Name})
	}
}

// hears ends the first wait for a signal and tells of it.
func (x *execution) hears(name string) {
	i := slices.IndexFunc(x.listening, func(l listening) bool { return l.name == name })
	if i < 0 {
		return
	}
	if x.live {
		x.observe(Event{Kind: StepDone, Execution: x.rec.ID, Step: x.listening[i].step, Name: "signal " + name})
	}
	x.listening = slices.Delete(x.listening, i, i+1)
}

// unlistens ends the wait of a step that the script has cancelled.
func (x *execution) unlistens(step string) {
	i := slices.IndexFunc(x.listening, func(l listening) bool { return l.step == step })
	if i < 0 {
		return
	}
	if x.live {
		x.observe(Event{Kind: StepCancelled, Execution: x.rec.ID, Step: step, Name: "signal " + x.listening[i].name})
	}
	x.listening = slices.Delete(x.listening, i, i+1)
}
