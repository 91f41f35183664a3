// Doubles of activities, and the record of calls.

package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// Call is one attempt of an activity.
type Call struct {
	Activity  string
	Args      json.RawMessage // array of the positional arguments
	Kwargs    json.RawMessage // object of the keyword arguments, nil when none
	Execution string
	Step      string
	Attempt   int       // counts from 1
	At        time.Time // virtual
}

// String is the call as a script would write it, with arguments in JSON.
func (c Call) String() string {
	var args []string
	var positional []json.RawMessage
	if json.Unmarshal(c.Args, &positional) == nil {
		for _, a := range positional {
			args = append(args, string(a))
		}
	}
	for dec := json.NewDecoder(bytes.NewReader(c.Kwargs)); ; {
		t, err := dec.Token()
		if err != nil {
			break
		}
		name, ok := t.(string)
		if !ok {
			continue
		}
		var v json.RawMessage
		if dec.Decode(&v) != nil {
			break
		}
		args = append(args, name+"="+string(v))
	}
	return c.Activity + "(" + strings.Join(args, ", ") + ")"
}

// Arg decodes a positional argument; the first is number 0.
func (c Call) Arg(n int, into any) error {
	var positional []json.RawMessage
	if err := json.Unmarshal(c.Args, &positional); err != nil {
		return err
	}
	if n < 0 || n >= len(positional) {
		return fmt.Errorf("%s has no argument %d", c, n)
	}
	return json.Unmarshal(positional[n], into)
}

// double answers attempts in place of an activity.
type double func(ctx context.Context, c Call) ([]byte, *activities.Failure)

// newDouble makes a double of what Mock takes. The function is a typed one when typed is true.
func newDouble(name string, with any, o activities.Options) (d double, typed bool, err error) {
	scratch := activities.NewRegistry()
	var open func(Call) (any, error)
	switch with := with.(type) {
	case func(Call) (any, error):
		open = with
	case error:
		open = func(Call) (any, error) { return nil, with }
	default:
		if with == nil || reflect.TypeOf(with).Kind() != reflect.Func {
			open = func(Call) (any, error) { return with, nil }
			break
		}
		typed = true
		if err = scratch.Register(name, with, activities.Options{Params: o.Params}); err != nil {
			err = scratch.Register(name, with) // it has fewer parameters than the real one names
		}
	}
	if open != nil {
		err = scratch.RegisterOpen(name, func(ctx context.Context, _ activities.Call) (any, error) {
			return open(ctx.Value(callKey{}).(Call))
		})
	}
	if err != nil {
		return nil, false, fmt.Errorf("double of %w", err)
	}
	act, _ := scratch.Lookup(name)
	return func(ctx context.Context, c Call) ([]byte, *activities.Failure) {
		return act.Invoke(context.WithValue(ctx, callKey{}, c), c.Args, c.Kwargs)
	}, typed, nil
}

type callKey struct{}

// Mock answers every attempt of an activity, from now on, in virtual time. The double is an activity
// function; or a func(Call) (any, error), which takes any arguments; or an error; or the value
// to return. An activity of Options.Registry keeps its options and the check of its arguments.
func (w *World) Mock(name string, with any) error {
	var o activities.Options
	real, known := w.registry.Lookup(name)
	if known {
		o = real.Options()
	}
	d, typed, err := newDouble(name, with, o)
	if err != nil {
		return err
	}
	if !known && typed {
		err = w.registry.Register(name, with)
	} else if !known {
		err = w.registry.RegisterOpen(name, func(context.Context, activities.Call) (any, error) { return nil, nil })
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.doubles[name] = d
	w.mu.Unlock()
	return nil
}

// around records an attempt and lets the double answer, or the activity itself.
func (w *World) around(ctx context.Context, c activities.Call, next func(context.Context) ([]byte, *activities.Failure)) ([]byte, *activities.Failure) {
	info := activities.Info(ctx)
	call := Call{
		Activity: c.Activity, Args: slices.Clone(c.Args), Kwargs: slices.Clone(c.Kwargs),
		Execution: info.Execution, Step: info.Step, Attempt: info.Attempt, At: time.Now().UTC(),
	}
	w.mu.Lock()
	w.calls = append(w.calls, call)
	d := w.doubles[c.Activity]
	w.mu.Unlock()
	if d != nil {
		w.answering.Add(1)
		defer w.answering.Done()
		return d(ctx, call)
	}
	return w.outside.run(ctx, next)
}

// Calls are the attempts of an activity so far, of all activities when name is "", in the order in which they began.
func (w *World) Calls(name string) []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var calls []Call
	for _, c := range w.calls {
		if name == "" || c.Activity == name {
			calls = append(calls, c)
		}
	}
	return calls
}
