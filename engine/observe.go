// What an engine tells an observer.

package engine

import (
	"encoding/json"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// Observer is told what happens to the executions that an engine holds, as it
// happens; what it is told is not always durable yet. Observe is called by many goroutines and must not block.
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
	StepAsked          EventKind = "step_asked"
	AttemptStarted     EventKind = "attempt_started"
	AttemptFailed      EventKind = "attempt_failed" // Failure; Retry says when the next one is due
	StepDone           EventKind = "step_done"
	StepFailed         EventKind = "step_failed" // Failure
	Logged             EventKind = "logged"      // Line
	ExecutionEnded     EventKind = "execution_ended"
	ExecutionStuck     EventKind = "execution_stuck" // Failure says why
)

// Event is one thing that happened.
type Event struct {
	Kind      EventKind
	Execution string
	Step      string
	Name      string // activity, or "sleep"
	Attempt   int
	At        time.Time
	Retry     time.Time
	Failure   *activities.Failure
	Line      *LogLine
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
