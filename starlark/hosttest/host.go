// The host of one run: answers from the journal, then from the world.

package hosttest

import (
	"container/heap"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/senpuki/senpuki/starlark"
)

// ErrQuiet is the error of a wait for which nothing can come any more.
var ErrQuiet = errors.New("the script waits and nothing will come")

type host struct {
	w      *World
	next   int // entry of the journal to be read next
	now    time.Time
	lines  int
	sealed bool
	broken error
}

func (h *host) fail(format string, args ...any) error {
	if h.broken == nil {
		h.broken = fmt.Errorf(format, args...)
	}
	return h.broken
}

// Issue checks a command against the journal, or carries it out.
func (h *host) Issue(c starlark.Command) error {
	w := h.w
	if h.next < len(w.Journal) {
		e := w.Journal[h.next]
		if e.Command == nil || !reflect.DeepEqual(*e.Command, c) {
			return h.fail("entry %d: the journal has %s, the script asks for %s", h.next, e, Entry{Command: &c})
		}
		h.next++
		return nil
	}
	if h.sealed {
		return h.fail("the script asks for %s beyond the end of its journal", Entry{Command: &c})
	}
	if c.Kind == starlark.CallActivity && w.Activities[c.Name] == nil {
		return &starlark.Failure{Kind: "UnknownActivity", Message: "there is no activity " + c.Name}
	}
	w.Journal = append(w.Journal, Entry{Command: &c})
	h.next++
	w.carryOut(c, h.now)
	return nil
}

// carryOut makes the outcome of a command due.
func (w *World) carryOut(c starlark.Command, now time.Time) {
	d := starlark.Delivery{Kind: starlark.StepOutcome, Step: c.Step}
	switch c.Kind {
	case starlark.StartTimer:
		d.Value = []byte("null")
		w.push(now.Add(c.Delay), d)
	case starlark.CallActivity:
		if w.calls == nil {
			w.calls = make(map[string]int)
		}
		w.calls[c.Name]++
		var after time.Duration
		d.Value, d.Failure, after = w.Activities[c.Name](Call{
			Step: c.Step, Name: c.Name, Args: c.Args, Kwargs: c.Kwargs, Options: c.Options, Attempt: w.calls[c.Name],
		})
		if d.Failure == nil && d.Value == nil {
			d.Value = []byte("null")
		}
		w.push(now.Add(after), d)
	case starlark.SendSignal, starlark.CancelOther:
		d.Value = []byte("null")
		switch c.Target {
		case "unknown":
			d.Value, d.Failure = nil, &starlark.Failure{Kind: "NotFound", Message: "there is no execution unknown"}
		case "closed":
			d.Value, d.Failure = nil, &starlark.Failure{Kind: "Closed", Message: "execution closed has ended"}
		case w.id:
			if c.Kind == starlark.CancelOther {
				w.push(now, starlark.Delivery{Kind: starlark.CancelExecution})
			} else {
				w.push(now, starlark.Delivery{Kind: starlark.SignalArrived, Name: c.Name, Value: c.Args})
			}
		}
		w.push(now, d)
	case starlark.AwaitResult:
		d.Failure = &starlark.Failure{Kind: "NotFound", Message: "there is no execution " + c.Target}
		w.push(now, d)
	case starlark.StartChild:
		w.child(c, now, d)
	case starlark.CancelStep:
		for i, e := range w.due {
			if e.d.Kind == starlark.StepOutcome && e.d.Step == c.Step {
				heap.Remove(&w.due, i)
				d.Failure = &starlark.Failure{Kind: "Cancelled", Message: "cancelled"}
				w.push(now, d)
				return
			}
		}
		if w.endless[c.Step] {
			delete(w.endless, c.Step)
			d.Failure = &starlark.Failure{Kind: "Cancelled", Message: "cancelled"}
			w.push(now, d)
		}
	}
}

// child runs a child in a world of its own. One that waits for what never comes can be cancelled.
func (w *World) child(c starlark.Command, now time.Time, d starlark.Delivery) {
	own := New(w.Activities)
	own.Start, own.ReplayAlways = now, w.ReplayAlways
	value, err := own.Run(w.program, starlark.Options{
		Function: c.Child.Function, Input: starlark.CallInput(c.Args, c.Kwargs),
		Info: starlark.Info{ID: c.Target, Run: 1, Workflow: c.Name, Parent: w.id},
	})
	d.Value = value
	var f *starlark.Failure
	switch {
	case errors.Is(err, ErrQuiet):
		if w.endless == nil {
			w.endless = make(map[string]bool)
		}
		w.endless[c.Step] = true
		return
	case errors.As(err, &f):
		d.Failure = &starlark.Failure{Kind: "ChildFailed", Message: c.Target + " failed: " + f.Error(), Cause: f}
	case err != nil:
		d.Failure = &starlark.Failure{Kind: "ChildFailed", Message: err.Error()}
	}
	w.push(own.end, d)
}

// Wait delivers the next entry of the journal, or what is due next.
func (h *host) Wait() (starlark.Delivery, error) {
	w := h.w
	if h.next < len(w.Journal) {
		e := w.Journal[h.next]
		if e.Delivery == nil {
			return starlark.Delivery{}, h.fail("entry %d: the journal has %s, the script waits", h.next, e)
		}
		h.next++
		h.now = e.At
		return *e.Delivery, nil
	}
	if h.sealed {
		return starlark.Delivery{}, h.fail("the script waits at the end of its journal")
	}
	if len(w.due) == 0 {
		return starlark.Delivery{}, ErrQuiet
	}
	e, _ := heap.Pop(&w.due).(event)
	at := h.now
	if e.at.After(at) {
		at = e.at
	}
	w.Journal = append(w.Journal, Entry{Delivery: &e.d, At: at})
	if w.ReplayAlways {
		return starlark.Delivery{}, starlark.ErrEvicted
	}
	h.next++
	h.now = at
	return e.d, nil
}

// Now is the time of the last delivery.
func (h *host) Now() time.Time { return h.now }

// Log keeps a line unless an earlier run has said it.
func (h *host) Log(l starlark.Line) {
	if h.lines++; h.lines > len(h.w.Lines) {
		h.w.Lines = append(h.w.Lines, l)
	}
}

func (e Entry) String() string {
	switch {
	case e.Command != nil:
		c := e.Command
		return fmt.Sprintf("ask %s %s %s %s%s %v", c.Kind, c.Step, c.Name, c.Args, c.Kwargs, c.Delay)
	case e.Delivery != nil:
		d := e.Delivery
		if d.Failure != nil {
			return fmt.Sprintf("get %s %s %s failure %v", d.Kind, d.Step, d.Name, d.Failure)
		}
		return fmt.Sprintf("get %s %s %s %s", d.Kind, d.Step, d.Name, d.Value)
	}
	return "nothing"
}

// ChildID is the id of a child.
func (h *host) ChildID(step string) string { return h.w.id + "." + strconv.Itoa(h.w.run) + "." + step }

// Publish keeps what the script shows.
func (h *host) Publish(shown []byte) { h.w.Shown = shown }
