// Children of an execution, as show prints them.

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

const (
	shownChildren = 20
	shownLines    = 10 // of the log
)

// child is a child execution in show --json.
type child struct {
	ID       string        `json:"id"`
	Step     string        `json:"step"`  // of the parent
	Name     string        `json:"name"`  // the workflow, or the function of a nested one
	State    backend.State `json:"state"` // "" when it was removed
	Started  time.Time     `json:"started,omitzero"`
	Finished time.Time     `json:"finished,omitzero"`

	x engine.Execution // zero when it was removed
}

// childrenOf looks up the newest children that steps have begun.
func childrenOf(ctx context.Context, eng *engine.Engine, steps []engine.Step) ([]child, error) {
	list := []child{}
	for _, s := range slices.Backward(steps) {
		if s.Kind != string(starlark.StartChild) || s.Target == "" {
			continue
		}
		c := child{ID: s.Target, Step: s.Step, Name: s.Name}
		var err error
		if c.x, err = eng.State(ctx, s.Target); err != nil && !errors.Is(err, backend.ErrNotFound) {
			return nil, err
		}
		c.State, c.Started, c.Finished = c.x.State, c.x.Started, c.x.Finished
		if list = append(list, c); len(list) == shownChildren {
			break
		}
	}
	slices.Reverse(list)
	return list, nil
}

// showChildren prints them.
func (a *app) showChildren(list []child, now time.Time) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(a.out)
	t := table{head: []string{"CHILD", "STEP", "NAME", "STATE", "TOOK"}, fixed: 4, style: func(column int, text string) string {
		if column == 3 {
			return stateStyle(text)
		}
		return text
	}}
	for _, c := range list {
		state := stateText(c.x)
		if c.State == "" {
			state = "removed"
		}
		t.row(c.ID, c.Step, c.Name, state, took(c.x, now))
	}
	t.write(a.out, a.color())
}
