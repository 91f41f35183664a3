// Errors of the engine, and failures on their way between the leaves.

package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/starlark"
)

var (
	// ErrCannotRetry: the execution cannot go on from where it was asked to.
	ErrCannotRetry = errors.New("cannot go on from there")
	// ErrRunAgain: the step of a dead letter was run again, or is.
	ErrRunAgain = errors.New("nothing is left to replay")
	// ErrNoStep: the execution has no such step.
	ErrNoStep = errors.New("no such step")
	// ErrUnfinished is what Result returns of an execution that has not ended.
	ErrUnfinished = errors.New("execution has not ended")
	// ErrStopped is what Run returns after Kill.
	ErrStopped = errors.New("engine has stopped")
)

// EditionError says that an execution was begun with an edition of the language that this release does not replay.
type EditionError struct {
	ID      string
	Edition int
}

func (e *EditionError) Error() string {
	return fmt.Sprintf("execution %s was begun with edition %d of the language, this release replays %s; use a senpuki that knows it", e.ID, e.Edition, editionList())
}

// ConflictError says that an id is taken by an execution with other code or input.
type ConflictError struct {
	ID    string
	Field string // "code", "function" or "input"
	Have  string // of the execution that exists
	Want  string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("execution %q exists with another %s: it has %s, this asks for %s; choose another id", e.ID, e.Field, e.Have, e.Want)
}

// NondeterminismError says that a script did not ask on replay what its journal holds.
type NondeterminismError struct {
	Pos  string // where the script asked; "" when it waits or ended
	Have string // what the journal has
	Want string // what the script asked
}

func (e *NondeterminismError) Error() string {
	where := e.Pos
	if where == "" {
		where = "the script"
	}
	return fmt.Sprintf("nondeterminism: %s %s, the journal has %s", where, e.Want, e.Have)
}

// fromActivity brings the data of a failure that an activity returned, plain JSON, into its stored form, which is an object. Each
// part is bounded, the data by limit.
func fromActivity(f *activities.Failure, limit int) *activities.Failure {
	if f == nil {
		return nil
	}
	c := *f
	c.Cause = fromActivity(f.Cause, limit)
	c.Kind, c.Message = starlark.Bounded(f.Kind, f.Message)
	data, err := starlark.FromPlain(bytes.TrimSpace(f.Data))
	switch {
	case err != nil:
		data, _ = json.Marshal(map[string]string{"unstorable": err.Error()})
	case string(data) == "null":
		data = nil
	case data[0] != '{':
		data = fmt.Appendf(nil, `{"value":%s}`, data)
	}
	if len(data) > limit {
		data = fmt.Appendf(nil, `{"unstorable":"%d bytes, the limit for one value is %d"}`, len(data), limit)
	}
	c.Data = data
	return &c
}

// ScriptFailure is a failure in the form that scripts see.
func ScriptFailure(f *activities.Failure) *starlark.Failure {
	if f == nil {
		return nil
	}
	return &starlark.Failure{
		Kind: f.Kind, Message: f.Message, Data: f.Data, Attempts: f.Attempts,
		Activity: f.Activity, Cause: ScriptFailure(f.Cause), Traceback: f.Traceback, NoRetry: f.NoRetry,
	}
}

// ActivityFailure is a script's failure in the form that activities and records have.
func ActivityFailure(f *starlark.Failure) *activities.Failure {
	if f == nil {
		return nil
	}
	return &activities.Failure{
		Kind: f.Kind, Message: f.Message, Data: f.Data, Attempts: f.Attempts,
		Activity: f.Activity, Cause: ActivityFailure(f.Cause), Traceback: f.Traceback, NoRetry: f.NoRetry,
	}
}

// decodeFailure reads a failure's JSON form; what cannot be read becomes its message.
func decodeFailure(b []byte) *activities.Failure {
	if len(b) == 0 {
		return nil
	}
	f := new(activities.Failure)
	if err := json.Unmarshal(b, f); err != nil {
		return &activities.Failure{Kind: activities.KindEvalError, Message: string(b)}
	}
	return f
}

// shownFailure reads a failure for those who look at it from outside: its data is plain JSON, as values are for them.
func shownFailure(b []byte) *activities.Failure {
	f := decodeFailure(b)
	for c := f; c != nil; c = c.Cause {
		if plain, err := starlark.ToPlain(c.Data); err == nil && len(c.Data) > 0 {
			c.Data = plain
		}
	}
	return f
}

// encodeFailure writes a failure's JSON form.
func encodeFailure(f *activities.Failure) []byte {
	b, err := json.Marshal(f)
	if err != nil { // data that is not JSON
		c := *f
		c.Data = nil
		b, _ = json.Marshal(&c)
	}
	return b
}

// failureOf is the failure in an error of the leaves.
func failureOf(err error) *activities.Failure {
	var f *activities.Failure
	if errors.As(err, &f) {
		return f
	}
	kind := activities.KindBadArguments
	var kinded interface{ Kind() string } // as what JSON cannot say
	if errors.As(err, &kinded) {
		kind = kinded.Kind()
	}
	return &activities.Failure{Kind: kind, Message: err.Error()}
}
