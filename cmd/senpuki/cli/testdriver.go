// What the tests of senpuki test work on: a world of package enginetest.

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/engine/enginetest"
	"github.com/senpuki/senpuki/starlark"
)

// testDriver is a starlark.TestDriver on a world.
type testDriver struct {
	world  *enginetest.World
	script script
}

func newTestDriver(reg *activities.Registry, s script, replay bool) (*testDriver, error) {
	w, err := enginetest.NewWorld(nil, enginetest.Options{FS: workspaceFS(s.root), Registry: reg, Replay: replay})
	if err != nil {
		return nil, err
	}
	return &testDriver{world: w, script: s}, nil
}

// Start finds the workflow beside the test, or with // from the root.
func (d *testDriver) Start(t starlark.TestStart) (string, error) {
	file, rooted := strings.CutPrefix(t.Workflow, "//")
	if !rooted {
		file = path.Join(path.Dir(d.script.entry), file)
	}
	return d.world.Start(file, engine.JSON(t.Input), engine.DispatchOptions{ID: t.ID, Function: t.Function})
}

func (d *testDriver) State(id string) (string, error) {
	x, err := d.world.Execution(id)
	return string(x.State), err
}

func (d *testDriver) Wait(id string) ([]byte, *starlark.Failure, error) {
	x, err := d.world.Wait(id)
	if err != nil {
		return nil, nil, err
	}
	return x.Result, engine.ScriptFailure(x.Failure), nil
}

func (d *testDriver) Logs(id string) ([]string, error) {
	lines, err := d.world.Logs(id)
	messages := make([]string, len(lines))
	for i, l := range lines {
		messages[i] = l.Message
	}
	return messages, err
}

func (d *testDriver) Signal(id, name string, payload []byte) error {
	return kinded(d.world.Signal(id, name, payload))
}

func (d *testDriver) Cancel(id, reason string) error {
	return kinded(d.world.Do(func(ctx context.Context, e *engine.Engine) error { return e.Cancel(ctx, id, reason) }))
}

func (d *testDriver) Mock(activity string, m starlark.TestMock) error {
	return d.world.Mock(activity, func(c enginetest.Call) (any, error) {
		value, failure := m(testCall(c))
		if failure != nil {
			return nil, plainFailure(engine.ActivityFailure(failure))
		}
		return json.RawMessage(value), nil
	})
}

func (d *testDriver) Calls(activity string) []starlark.TestCall {
	calls := d.world.Calls(activity)
	out := make([]starlark.TestCall, len(calls))
	for i, c := range calls {
		out[i] = testCall(c)
	}
	return out
}

func (d *testDriver) Advance(t time.Duration) error {
	d.world.Advance(t)
	return nil
}

func (d *testDriver) Crash() error   { return d.world.Crash() }
func (d *testDriver) Now() time.Time { return d.world.Now() }

// plainFailure makes the data of a failure what an activity's is: plain JSON.
func plainFailure(f *activities.Failure) error {
	for c := f; c != nil; c = c.Cause {
		data, err := starlark.ToPlain(c.Data)
		if err != nil {
			return err
		}
		c.Data = data
	}
	return f
}

func testCall(c enginetest.Call) starlark.TestCall {
	return starlark.TestCall{Execution: c.Execution, Attempt: c.Attempt, At: c.At, Args: c.Args, Kwargs: c.Kwargs}
}

// kinded gives an error of a message that reached nobody the kind that scripts know.
func kinded(err error) error {
	for kind, sentinel := range map[string]error{activities.KindNotFound: backend.ErrNotFound, activities.KindClosed: backend.ErrClosed} {
		if errors.Is(err, sentinel) {
			return &starlark.Failure{Kind: kind, Message: err.Error()}
		}
	}
	return err
}
