// Dead letters: steps whose attempts are used up, and how they are run again.

package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// letterInput is what is needed to look at a dead letter and to run it again:
// the JSON of backend.DeadLetter.Input.
type letterInput struct {
	Args    json.RawMessage           `json:"args"`             // stored form
	Kwargs  json.RawMessage           `json:"kwargs,omitempty"` // stored form
	Options *starlark.ActivityOptions `json:"options,omitempty"`
	Pos     string                    `json:"pos,omitempty"`
}

// bury keeps a step that has failed for good as a dead letter: after an attempt of it, or because none began in time.
func (x *execution) bury(st *step, f *activities.Failure) {
	if st.cmd.Kind != starlark.CallActivity || st.begun == 0 && f.Kind != activities.KindTimeout || f.Kind == activities.KindCancelled {
		return
	}
	input, _ := json.Marshal(letterInput{ // JSON and plain fields: never fails
		Args: st.cmd.Args, Kwargs: st.cmd.Kwargs, Options: st.cmd.Options, Pos: st.cmd.Pos,
	})
	g := x.gather()
	g.Dead = append(g.Dead, backend.DeadLetter{
		Step: st.cmd.Step, Activity: st.cmd.Name, Attempts: st.begun, Failure: encodeFailure(f), Input: input,
	})
}

// Letter is a dead letter as clients see it.
type Letter struct {
	backend.DeadLetter
	Failure *activities.Failure `json:"failure"`
	Args    json.RawMessage     `json:"args"`
	Kwargs  json.RawMessage     `json:"kwargs,omitempty"`
	Pos     string              `json:"pos,omitempty"`
	Damage  string              `json:"damage,omitempty"` // which columns cannot be read, and why; "": none

	input letterInput // what of it can be read
	whole bool        // that is all
}

// Letters returns dead letters, newest first.
func (e *Engine) Letters(ctx context.Context, f backend.LetterFilter) ([]Letter, error) {
	found, err := e.store.DeadLetters(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]Letter, 0, len(found))
	for _, d := range found {
		list = append(list, readLetter(d))
	}
	return list, nil
}

// readLetter reads a dead letter as far as that can be done: one that is damaged keeps no other from being looked at.
func readLetter(d backend.DeadLetter) Letter {
	l := Letter{DeadLetter: d, Failure: shownFailure(d.Failure)}
	err := json.Unmarshal(d.Input, &l.input)
	l.whole = err == nil
	l.Args, l.Kwargs, l.Pos = plainValue(l.input.Args), plainValue(l.input.Kwargs), l.input.Pos
	var damage []string
	if err != nil {
		damage = append(damage, backend.Unreadable("input", err))
	}
	if d.Failure != nil {
		if err := json.Unmarshal(d.Failure, new(activities.Failure)); err != nil {
			damage = append(damage, backend.Unreadable("failure", err))
		}
	}
	l.Damage = strings.Join(damage, "; ")
	return l
}

// ReplayOptions change what a dead letter is replayed with.
type ReplayOptions struct {
	Queue string
	Args  json.RawMessage // plain JSON array, instead of the arguments; only for one that runs as an execution of its own
}

// callSource is the program of a dead letter that runs as an execution of its own.
const callSource = `def main(name, args, kwargs, options = {}):
    """Call one activity with the options that it had: a dead letter that is replayed."""
    given = dict(options)
    if "retry" in given:
        given["retry"] = retry_policy(**given["retry"])
    return activity(name, **given)(*args, **kwargs)
`

// ReplayLetter runs a dead letter again and discards it: when its execution has failed on
// it, that execution goes on from it, else it runs as an execution of its own. It returns the id of what runs.
// It refuses with backend.ErrNotFound a letter that is gone by now, and with ErrRunAgain one whose step a later run
// of its execution has run again, or that runs already with other arguments. One that is damaged cannot run as an execution of its own.
func (e *Engine) ReplayLetter(ctx context.Context, l Letter, o ReplayOptions) (id string, err error) {
	left, err := e.store.DeadLetters(ctx, backend.LetterFilter{ID: l.ID})
	if err != nil {
		return "", err
	}
	if len(left) == 0 {
		return "", fmt.Errorf("dead letter %d: %w; it may have been replayed or discarded", l.ID, backend.ErrNotFound)
	}
	x, err := e.store.Execution(ctx, l.Execution)
	if err != nil {
		return "", err
	}
	waits, err := e.waitsFor(ctx, &x, &l)
	switch {
	case err != nil:
		return "", err
	case waits && o.Args == nil: // the letter goes with the retry
		return x.ID, e.Retry(ctx, x.ID, RerunOptions{Queue: o.Queue})
	}
	if id, err = e.callAgain(ctx, &x, l, o); err != nil {
		return "", err
	}
	_, err = e.store.Discard(ctx, []int64{l.ID})
	return id, err
}

// waitsFor reports whether the failure in a dead letter ended its execution, which has not gone on since.
func (e *Engine) waitsFor(ctx context.Context, x *backend.Execution, l *Letter) (bool, error) {
	j, err := e.entries(ctx, x.Run)
	if errors.Is(err, errRow) { // it cannot go on, and its step can still be run
		return false, nil
	}
	if err != nil {
		return false, err
	}
	same, err := e.runsOf(ctx, x, j)
	if err != nil || !same[l.Run] {
		return false, err
	}
	if x.State == backend.Failed {
		if _, failed, err := j.cut(x, &RerunOptions{}); err == nil && failed == l.Step {
			return true, nil
		}
	}
	if x.Run == l.Run {
		return false, nil
	}
	var asked, done, failed bool
	for i := range j {
		switch e := &j[i]; {
		case string(e.step) != l.Step:
		case e.is(entryAsk):
			asked = string(e.name) == l.Activity
		case e.is(entryDone):
			done = asked
		case e.is(entryFailed):
			failed = true
		}
	}
	var became string
	switch {
	case done:
		became = "has succeeded since"
	case asked && !failed && !x.State.Terminal():
		became = "is under way again"
	default:
		return false, nil
	}
	return false, fmt.Errorf("dead letter %d: step %s (%s) of execution %s %s, in run %d; 'senpuki dlq discard %d' removes the letter: %w",
		l.ID, l.Step, l.Activity, x.ID, became, x.RunNumber, l.ID, ErrRunAgain)
}

// callAgain runs a dead letter as an execution of its own, in the queue of the one that it comes from, as a child of
// that would run.
func (e *Engine) callAgain(ctx context.Context, x *backend.Execution, l Letter, o ReplayOptions) (string, error) {
	if !l.whole {
		return "", fmt.Errorf("dead letter %d is damaged: %s; 'senpuki dlq discard %d' removes it", l.ID, l.Damage, l.ID)
	}
	prog, err := load(ctx, oneFile{"dead_letter.star": callSource}, "dead_letter.star", e.cache.Compile)
	if err != nil {
		return "", err
	}
	if err := e.Store(ctx, prog); err != nil {
		return "", err
	}
	args, kwargs := l.input.Args, l.input.Kwargs
	options := starlark.ActivityOptions{}
	if l.input.Options != nil {
		options = *l.input.Options
	}
	if o.Args != nil {
		stored, err := starlark.FromPlain(o.Args)
		if err != nil {
			return "", err
		}
		args, kwargs = stored, nil
		options.Key = nil // that of the other arguments: others would be given this call's result for theirs
	}
	if kwargs == nil {
		kwargs = json.RawMessage("{}")
	}
	if o.Queue != "" {
		options.Queue = &o.Queue
	}
	given, err := keywords(&options)
	if err != nil {
		return "", err
	}
	name, _ := json.Marshal(l.Activity) // text: never fails
	call := bytes.Join([][]byte{{'['}, name, {','}, args, {','}, kwargs, {','}, given, {']'}}, nil)
	n := backend.NewExecution{
		ID: l.runsAs(), Workflow: prog.Workflow, Digest: prog.Digest, Edition: starlark.Edition, Function: "main",
		Input: starlark.CallInput(call, nil), Queue: x.Queue, Priority: x.Priority, Tags: x.Tags, Parent: x.ID,
	}
	err = e.create(ctx, e.current(), &n, false)
	if _, ok := errors.AsType[*ConflictError](err); ok {
		err = fmt.Errorf("dead letter %d was replayed with other arguments already, as execution %s; 'senpuki dlq discard %d' removes the letter: %w",
			l.ID, n.ID, l.ID, ErrRunAgain)
	}
	return n.ID, err
}

// runsAs is the id of the execution that a dead letter runs as. It follows from the letter, so that one that is replayed
// twice, at once or because the first who did died before the letter was discarded, runs once. That of its execution is in it
// as well: letters are numbered alike in every database, and idempotency keys follow from ids.
func (l *Letter) runsAs() string {
	sum := sha256.Sum256([]byte(l.Execution))
	return fmt.Sprintf("letter-%d-%x", l.ID, sum[:6])
}

// keywords are options as a script gives them: the stored form of keyword arguments, durations in seconds.
func keywords(o *starlark.ActivityOptions) ([]byte, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	given := make(map[string]any)
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, err
	}
	inSeconds := func(given map[string]any, names ...string) {
		for _, name := range names {
			if d, ok := given[name].(float64); ok {
				given[name] = d / float64(time.Second)
			}
		}
	}
	inSeconds(given, "timeout", "start_timeout", "heartbeat", "cache_ttl")
	if retry, ok := given["retry"].(map[string]any); ok {
		inSeconds(retry, "initial_delay", "max_delay")
	}
	if text, err = json.Marshal(given); err != nil {
		return nil, err
	}
	return starlark.FromPlain(text)
}

// oneFile is a file system of files in memory.
type oneFile map[string]string

// Open implements fs.FS.
func (f oneFile) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile implements fs.ReadFileFS.
func (f oneFile) ReadFile(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
