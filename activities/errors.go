// Failures: errors as data.

package activities

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The kinds of failure that are made by this package, by engines and by scripts themselves. Activities and scripts name
// kinds of their own.
const (
	KindActivityError   = "ActivityError"   // an error that declares no kind
	KindBadArguments    = "BadArguments"    // count, names or types of a call's arguments
	KindCancelled       = "Cancelled"       // somebody did not want it any more
	KindChildFailed     = "ChildFailed"     // a child has failed; its failure is the cause
	KindClosed          = "Closed"          // the execution that a message is for has ended
	KindCrashLoop       = "CrashLoop"       // the process died under a step too often
	KindEvalError       = "EvalError"       // the script itself
	KindNotFound        = "NotFound"        // no such execution, file or program
	KindPanic           = "Panic"           // the activity panicked
	KindPayloadError    = "PayloadError"    // a value that JSON cannot say, or that is too large
	KindSignalTimeout   = "SignalTimeout"   // no signal came in time
	KindTimeout         = "Timeout"         // an attempt, a wait or an execution took too long
	KindUnknownActivity = "UnknownActivity" // nobody has it
)

// Failure is an error as data: what journals store and scripts see. Its JSON form
// is the one of the script side.
type Failure struct {
	Kind      string          `json:"kind"`
	Message   string          `json:"message"`
	Data      json.RawMessage `json:"data,omitempty"` // a JSON object, nil when none
	Attempts  int             `json:"attempts,omitempty"`
	Activity  string          `json:"activity,omitempty"`
	Cause     *Failure        `json:"cause,omitempty"`
	Traceback string          `json:"traceback,omitempty"` // the stack of a panic, or a script's backtrace
	NoRetry   bool            `json:"no_retry,omitempty"`
}

// Error is "Kind: message", or one of them alone when there is no other.
func (f *Failure) Error() string {
	switch {
	case f == nil:
		return "<nil>"
	case f.Message == "":
		return f.Kind
	case f.Kind == "":
		return f.Message
	}
	return f.Kind + ": " + f.Message
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error {
	if f == nil || f.Cause == nil {
		return nil
	}
	return f.Cause
}

// FailOption is a detail of a failure made by [Fail].
type FailOption func(*Failure)

// Fail makes a failure with a kind of its own, to be returned by an activity. The kind is what
// scripts match by and what the retry policy's lists name.
func Fail(kind, message string, opts ...FailOption) error {
	f := &Failure{Kind: kind, Message: message}
	if kind == "" {
		f.Kind = KindActivityError
	}
	for _, o := range opts {
		o(f)
	}
	return f
}

// Data attaches details. What JSON cannot say is replaced by the reason, so
// that a failure is never lost for the sake of its details.
func Data(data map[string]any) FailOption {
	return func(f *Failure) {
		raw, err := marshal(data)
		if err != nil {
			raw, _ = marshal(map[string]any{"unstorable": err.Error()})
		}
		f.Data = raw
	}
}

// NotRetryable makes the failure final, unless the retry policy names its kind in RetryFor.
func NotRetryable() FailOption {
	return func(f *Failure) { f.NoRetry = true }
}

// Cause names the error behind the failure.
func Cause(err error) FailOption {
	return func(f *Failure) { f.Cause = FailureOf(err) }
}

// FailureOf turns an error into a failure; nil into nil. A [Failure] anywhere
// in its chain stays what it is, with the words that were wrapped around it in its message, and is an ActivityError when it
// has no kind; an error
// with a method Kind() string keeps that kind; everything else is an ActivityError.
//
// Whether a context's end was the attempt's own timeout is for the caller to
// know: context.DeadlineExceeded is nothing special here.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	if f, ok := err.(*Failure); ok && f != nil && f.Kind != "" { //nolint:errorlint // the failure itself, not one that is wrapped
		return f
	}
	var f *Failure
	if errors.As(err, &f) && f != nil {
		wrapped := *f
		wrapped.Message = strings.Replace(err.Error(), f.Error(), f.Message, 1)
		if f.Kind == "" {
			wrapped.Kind = KindActivityError
		}
		return &wrapped
	}
	var kinded interface{ Kind() string }
	if errors.As(err, &kinded) {
		if kind := kinded.Kind(); kind != "" {
			return &Failure{Kind: kind, Message: err.Error()}
		}
	}
	return &Failure{Kind: KindActivityError, Message: err.Error()}
}

// badArguments is a failure that no retry mends.
func badArguments(format string, a ...any) *Failure {
	return &Failure{Kind: KindBadArguments, Message: fmt.Sprintf(format, a...), NoRetry: true}
}
