// The copy that a rerun begins with: what it makes of a journal up to a cut.

package engine

import (
	"encoding/json"
	"fmt"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// copying is how the steps of a journal stand where it is cut.
type copying struct {
	journal entryList
	cut     int
	again   string                     // the step that is run again; "": none
	under   map[string]*entry          // the asks of steps that have no outcome before the cut
	order   []string                   // of their asking, of those that have one as well
	fresh   map[string]bool            // have all their attempts again: what is run again, and what has failed since and was not cancelled
	last    map[string]newestAttempt   // of the whole journal
	sent    map[string][]carriedSignal // signals sent behind the cut, by the id of whom they were for
}

// newestAttempt is the newest attempt of a step.
type newestAttempt struct {
	number int
	child  []byte
}

// copying finds out how things stand at a cut.
func (j entryList) copying(cut int, again string) *copying {
	c := &copying{
		journal: j, cut: cut, again: again, under: make(map[string]*entry), fresh: make(map[string]bool),
		last: make(map[string]newestAttempt), sent: make(map[string][]carriedSignal),
	}
	if again != "" {
		c.fresh[again] = true
	}
	dropped := make(map[string]bool) // behind the cut
	for i := range j {
		e, step := &j[i].entry, string(j[i].step)
		switch string(e.kind) {
		case entryAsk, entryBegin, entryBack:
			n := c.last[step]
			n.number = max(n.number, e.attempt)
			if e.target != nil {
				n.child = e.target
			}
			c.last[step] = n
		}
		switch before := i < cut; {
		case before && e.is(entryAsk) && string(e.command) != string(starlark.AwaitSignal):
			c.under[step] = e
			c.order = append(c.order, step)
		case before && (e.is(entryDone) || e.is(entryFailed)):
			delete(c.under, step)
		case before:
		case e.is(entryAsk) && string(e.command) == string(starlark.SendSignal):
			c.sent[string(e.target)] = append(c.sent[string(e.target)], carriedSignal{string(e.name), json.RawMessage(e.args)})
		case e.is(entryDrop):
			dropped[step] = true
		case e.is(entryFailed) && c.under[step] != nil && !dropped[step]:
			c.fresh[step] = true
		}
	}
	return c
}

// leaves reports whether an entry is left out: attempts of steps that have all theirs again, and reservations of
// steps under way, which end with their run.
func (c *copying) leaves(e *entry) bool {
	return c.fresh[string(e.step)] && e.ofAttempts() || e.is(entryHeld) && c.under[string(e.step)] != nil
}

// ofAttempts reports whether an entry tells of the attempts of a step.
func (e *entry) ofAttempts() bool {
	switch string(e.kind) {
	case entryBegin, entryFail, entryCrash, entryBack, entryGot, entryHeld:
		return true
	}
	return false
}

// position is the index of the entry behind so many of the copy.
func (c *copying) position(n int) int {
	for i := range c.journal[:c.cut] {
		if n == 0 {
			return i
		}
		if !c.leaves(&c.journal[i].entry) {
			n--
		}
	}
	return c.cut
}

// rows are the copy: what is before the cut, with steps that have no outcome there as if their attempts had been handed back.
// What of them succeeded after it, other than the step that is run again, is not done twice: its value waits to be delivered.
func (c *copying) rows(x *backend.Execution) (rows []backend.Row, err error) {
	if c.cut == 0 {
		return nil, nil
	}
	kept := c.kept()
	waits := make(map[string]bool) // a value of an earlier copy waits, too
	var row []byte
	flush := func(of *journalled) {
		if row != nil {
			rows = append(rows, backend.Row{Number: int64(len(rows)), Session: of.session, Data: append(row, ']')})
			row = nil
		}
	}
	for i := range c.journal[:c.cut] {
		e := c.journal[i].entry
		if i > 0 && c.journal[i].row != c.journal[i-1].row {
			flush(&c.journal[i-1])
		}
		switch {
		case e.is(entryStart):
			e, err = origin(e, x)
		case e.is(entryRerun):
			e, err = source(e, x)
		}
		if err != nil {
			return nil, err
		}
		if c.leaves(&e) {
			continue
		}
		if e.is(entryAsk) && c.fresh[string(e.step)] && string(e.command) == string(starlark.CallActivity) {
			e.attempt, e.task = 0, 0
		}
		if e.ofAttempts() && !e.is(entryHeld) {
			waits[string(e.step)] = e.is(entryGot)
		}
		row = e.append(row)
	}
	for i := range kept {
		waits[string(kept[i].step)] = true
		row = kept[i].append(row)
	}
	for _, id := range c.order {
		e := c.under[id]
		if e == nil || waits[id] || string(e.command) == string(starlark.StartTimer) {
			continue
		}
		waits[id] = true // asked for once
		back := entry{kind: []byte(entryBack), step: []byte(id), attempt: e.attempt}
		switch string(e.command) {
		case string(starlark.CallActivity):
			if c.fresh[id] {
				continue
			}
		case string(starlark.StartChild):
			if err := c.childBack(&back, e); err != nil {
				return nil, err
			}
		}
		row = back.append(row)
	}
	flush(&c.journal[c.cut-1])
	return rows, nil
}

// childBack is what the copy has of a child under way: how its ids, which are numbered, go on, whether another is to be begun whatever has
// come of it, and the signals that it will be sent again.
func (c *copying) childBack(back, asked *entry) (err error) {
	last := c.last[string(asked.step)]
	back.attempt, back.target = last.number, last.child
	again := c.sentTo(asked)
	if len(again) > 0 || c.runsAgain(asked) {
		back.name = []byte(anewName)
	}
	if len(again) > 0 {
		back.value, err = json.Marshal(again)
	}
	return err
}

// runsAgain reports whether a step has succeeded and is run again.
func (c *copying) runsAgain(asked *entry) bool {
	return string(asked.step) == c.again && c.cut < len(c.journal) && c.journal[c.cut].is(entryDone)
}

// sentTo are the signals that a child under way was sent behind the cut, by the id that it was asked for with or its newest one.
func (c *copying) sentTo(asked *entry) []carriedSignal {
	list := c.sent[string(asked.target)]
	if newest := string(c.last[string(asked.step)].child); newest != string(asked.target) {
		list = append(list[:len(list):len(list)], c.sent[newest]...)
	}
	return list
}

// kept are the values of steps under way that came behind the cut, as entries of values that wait for their delivery.
// Timers are not among them: they fire again. Nor is a child that was sent a signal behind the cut: it is sent again.
func (c *copying) kept() (values []entry) {
	for i := c.cut; i < len(c.journal); i++ {
		e, step := &c.journal[i], string(c.journal[i].step)
		asked := c.under[step]
		if !e.is(entryDone) || asked == nil || step == c.again {
			continue
		}
		switch string(asked.command) {
		case string(starlark.StartTimer):
			continue
		case string(starlark.StartChild):
			if len(c.sentTo(asked)) > 0 {
				continue
			}
		}
		values = append(values, entry{kind: []byte(entryGot), at: e.at, step: e.step, attempt: c.last[step].number, value: e.value})
	}
	return values
}

// messages are the signals that came behind the cut: they are messages again, ahead of those that the store kept, which no script
// was given.
func (c *copying) messages() (list []backend.Message) {
	for i := c.cut; i < len(c.journal); i++ {
		if e := &c.journal[i]; e.is(entrySignal) {
			list = append(list, backend.Message{Kind: backend.Signal, Name: string(e.name), Payload: e.value})
		}
	}
	return list
}

// signals are those that a run took over and was given.
func (j entryList) signals() (list []carriedSignal, err error) {
	for i := range j {
		switch e := &j[i]; {
		case e.is(entryStart) && e.value != nil:
			var c carried
			if err := json.Unmarshal(e.value, &c); err != nil {
				return nil, fmt.Errorf("%w: what the run took over: %w", errRow, err)
			}
			list = append(list, c.Signals...)
		case e.is(entrySignal):
			list = append(list, carriedSignal{string(e.name), json.RawMessage(e.value)})
		}
	}
	return list, nil
}

// origin notes in a start entry the run in which the steps were first asked for: their names elsewhere depend on it.
func origin(e entry, x *backend.Execution) (entry, error) {
	var c carried
	if e.value != nil {
		if err := json.Unmarshal(e.value, &c); err != nil {
			return e, fmt.Errorf("%w: what the run took over: %w", errRow, err)
		}
	}
	if c.Origin == nil {
		c.Origin = originOf(x)
	}
	c.Rerun = true
	value, err := json.Marshal(c)
	e.value = value
	return e, err
}

// source notes in a rerun entry the run that asked for what follows: x, unless it is older.
func source(e entry, x *backend.Execution) (entry, error) {
	o := originOf(x)
	if e.value != nil {
		*o = originRun{}
		if err := json.Unmarshal(e.value, o); err != nil {
			return e, fmt.Errorf("%w: the run that the journal was copied from: %w", errRow, err)
		}
	}
	value, err := json.Marshal(o)
	e.value = value
	return e, err
}

// originRun names a run in which a part of the journal of a rerun was first written, and has what its script knew of itself.
type originRun struct {
	ID     string `json:"id"`
	Run    int    `json:"run"`
	Parent string `json:"parent,omitempty"`
	Digest string `json:"digest,omitempty"`
}

func originOf(x *backend.Execution) *originRun {
	return &originRun{ID: x.ID, Run: x.RunNumber, Parent: x.Parent, Digest: x.Digest}
}
