// History: a journal read for people.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// History is what the journal of an execution's latest run says.
type History struct {
	Execution Execution `json:"execution"`
	Entries   []Entry   `json:"entries"`
	Steps     []Step    `json:"steps"`
	// Tries is how an execution stands that is tried again as a whole; else nil.
	Tries *Tries `json:"tries,omitempty"`
	// Damaged says where the journal cannot be read, "" when all of it can.
	Damaged string `json:"damaged,omitempty"`
}

// Entry is one journal entry.
type Entry struct {
	Row     int64               `json:"row"`
	At      time.Time           `json:"at"`
	Kind    string              `json:"kind"` // start try ask refused drop begin held fail crash back got rerun upgrade done failed cancel signal end
	Step    string              `json:"step,omitempty"`
	Command string              `json:"command,omitempty"` // of an ask: activity, timer, wait_signal, signal, cancel_execution, result, workflow
	Name    string              `json:"name,omitempty"`    // activity, signal, workflow, final state
	Target  string              `json:"target,omitempty"`  // id of another execution
	Attempt int                 `json:"attempt,omitempty"`
	Task    bool                `json:"task,omitempty"` // the attempt is one that any worker may run
	Args    json.RawMessage     `json:"args,omitempty"`
	Kwargs  json.RawMessage     `json:"kwargs,omitempty"`
	Value   json.RawMessage     `json:"value,omitempty"`
	Failure *activities.Failure `json:"failure,omitempty"`
	Retry   time.Time           `json:"retry,omitzero"`
	Delay   time.Duration       `json:"delay,omitempty"` // nanoseconds
	Pos     string              `json:"pos,omitempty"`
	memo    string              // hash of the result that the step shares
}

// Attempt is one try of a step.
type Attempt struct {
	Number  int                 `json:"number"`
	Began   time.Time           `json:"began"`
	Ended   time.Time           `json:"ended,omitzero"`
	Outcome string              `json:"outcome"` // running, done, failed, crashed, handed back
	Failure *activities.Failure `json:"failure,omitempty"`
	Retry   time.Time           `json:"retry,omitzero"` // when the next attempt is due
}

// Step is what a script asked for, and how it stands.
type Step struct {
	Step     string              `json:"step"`
	Kind     string              `json:"kind"` // as Entry.Command
	Name     string              `json:"name"`
	Target   string              `json:"target,omitempty"` // id of another execution
	Pos      string              `json:"pos,omitempty"`
	State    string              `json:"state"` // waiting, running, retrying, done, failed, cancelled, refused
	Args     json.RawMessage     `json:"args,omitempty"`
	Kwargs   json.RawMessage     `json:"kwargs,omitempty"`
	Value    json.RawMessage     `json:"value,omitempty"`
	Failure  *activities.Failure `json:"failure,omitempty"`
	Attempts []Attempt           `json:"attempts,omitempty"`
	Asked    time.Time           `json:"asked"`
	Ended    time.Time           `json:"ended,omitzero"`
	Due      time.Time           `json:"due,omitzero"`     // of a timer or the next attempt
	Hit      bool                `json:"hit,omitempty"`    // the value is one that another step has computed
	Remote   bool                `json:"remote,omitempty"` // the newest attempt is a task, which any worker may run
	Memo     string              `json:"-"`                // hash of the shared result that it may not compute yet, for another step does
}

// History reads the journal of an execution's latest run. A damaged journal is
// read up to the damage.
func (e *Engine) History(ctx context.Context, id string) (History, error) {
	x, err := e.State(ctx, id)
	if err != nil {
		return History{}, err
	}
	h := History{Execution: x, Entries: []Entry{}, Steps: []Step{}}
	var at int64
	err = e.store.Journal(ctx, x.run, 0, func(r backend.Row) error {
		for j, err := range entriesOf(bytes.Clone(r.Data)) {
			if err != nil {
				return inRow(r.Number, err)
			}
			if j.at != 0 {
				at = j.at
			}
			h.Entries = append(h.Entries, j.public(r.Number, at))
		}
		return nil
	})
	if errors.Is(err, errRow) {
		h.Damaged, err = err.Error(), nil
	}
	h.Steps = steps(h.Entries)
	if err == nil && h.Damaged == "" && x.extra.Retry != nil {
		h.Tries, err = e.tries(ctx, x.run, x.extra.Retry)
	}
	return h, err
}

// public is an entry as clients see it.
func (e *entry) public(row, at int64) Entry {
	return Entry{
		Row: row, At: fromMicro(at), Kind: string(e.kind), Step: string(e.step), Command: string(e.command),
		Name: string(e.name), Target: string(e.target), Attempt: e.attempt, Task: e.task != 0, Args: plainValue(e.args), Kwargs: plainValue(e.kwargs),
		Value: plainValue(e.value), Failure: shownFailure(e.failure), Retry: fromMicro(e.retry),
		Delay: fromMicroDuration(e.delay), Pos: string(e.pos),
		memo: string(e.memo),
	}
}

func fromMicroDuration(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// plainValue shows a stored value; one that cannot be read is shown as it is.
func plainValue(stored []byte) json.RawMessage {
	if stored == nil {
		return nil
	}
	if plain, err := starlark.ToPlain(stored); err == nil && json.Valid(plain) {
		return plain
	}
	b, _ := json.Marshal(string(stored))
	return b
}

// steps folds entries into steps, in the order of asking.
func steps(entries []Entry) []Step {
	list := []Step{}
	index := make(map[string]int)
	for i := range entries {
		e := &entries[i]
		switch e.Kind {
		case entryDrop:
			if n, ok := index[e.Step]; ok && list[n].Kind == string(starlark.AwaitSignal) && list[n].State == "waiting" {
				list[n].State, list[n].Ended = "cancelled", e.At
			}
			continue
		case entrySignal:
			signalled(list, e)
			continue
		case entryAsk, entryRefused:
			index[e.Step] = len(list)
			list = append(list, newStepView(e))
			continue
		}
		if n, ok := index[e.Step]; ok && e.Step != "" {
			list[n].apply(e)
		}
	}
	return list
}

// signalled gives a signal to the first step that waits for it, as the script does.
func signalled(list []Step, e *Entry) {
	for i := range list {
		s := &list[i]
		if s.Kind == string(starlark.AwaitSignal) && s.Name == e.Name && s.State == "waiting" {
			s.State, s.Value, s.Ended = "done", e.Value, e.At
			return
		}
	}
}

func newStepView(e *Entry) Step {
	s := Step{
		Step: e.Step, Kind: e.Command, Name: e.Name, Target: e.Target, Pos: e.Pos, State: "waiting",
		Args: e.Args, Kwargs: e.Kwargs, Asked: e.At, Memo: e.memo,
	}
	switch {
	case e.Kind == entryRefused:
		s.State, s.Failure, s.Ended = "refused", e.Failure, e.At
	case e.Command == string(starlark.StartTimer):
		s.Name, s.Due = "sleep", e.At.Add(e.Delay)
	case e.Attempt > 0:
		s.begin(e)
	}
	return s
}

func (s *Step) begin(e *Entry) {
	s.State, s.Due, s.Remote = "running", time.Time{}, e.Task
	if e.Target != "" { // a child begun again
		s.Target = e.Target
	}
	s.Attempts = append(s.Attempts, Attempt{Number: e.Attempt, Began: e.At, Outcome: "running"})
}

// close ends the attempt under way.
func (s *Step) close(e *Entry, outcome string) {
	if n := len(s.Attempts); n > 0 && s.Attempts[n-1].Outcome == "running" {
		a := &s.Attempts[n-1]
		a.Ended, a.Outcome, a.Failure, a.Retry = e.At, outcome, e.Failure, e.Retry
	}
}

func (s *Step) apply(e *Entry) {
	switch e.Kind {
	case entryHeld:
		s.Memo = ""
	case entryBegin:
		s.begin(e)
	case entryFail:
		s.State, s.Due = "retrying", e.Retry
		s.close(e, "failed")
	case entryCrash:
		s.State, s.Due = "retrying", e.Retry
		s.close(e, "crashed")
	case entryGot: // whether a failure is the last word is said when it is delivered
		if e.Failure != nil {
			s.State = "retrying"
			s.close(e, "failed")
			return
		}
		s.State, s.Value, s.Ended = "done", e.Value, e.At
		s.close(e, "done")
	case entryBack:
		s.State = "waiting"
		s.close(e, "handed back")
	case entryDone:
		s.State, s.Value, s.Ended, s.Due = "done", e.Value, e.At, time.Time{}
		s.Hit = e.Name == backend.Hit
		s.close(e, "done")
	case entryFailed:
		s.State, s.Failure, s.Ended, s.Due = "failed", e.Failure, e.At, time.Time{}
		if e.Failure != nil && e.Failure.Kind == activities.KindCancelled {
			s.State = "cancelled"
		}
		s.close(e, "failed")
	}
}
