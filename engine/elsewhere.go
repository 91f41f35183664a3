// The options of activities that this process does not have, as the sessions that have them tell.

package engine

import (
	"context"
	"encoding/json"
	"reflect"
	"sync"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/starlark"
)

// elsewhere is how activities are registered in other processes. Whoever drives an execution keeps what their
// registrations promise (attempts, limits, shared results) although he cannot run them.
type elsewhere struct {
	mu     sync.Mutex // guards byName
	byName map[string]activities.Options

	looking chan struct{} // capacity 1, full while the sessions are read for a name that nobody had told of; guards looked
	looked  time.Time     // when they last were
}

// registrations are the options of a registry's activities, but for those that have none and take nothing. Of the
// parameters all are there, for the key of a result that is shared depends on them.
func registrations(r *activities.Registry) map[string]activities.Options {
	told := make(map[string]activities.Options)
	for _, name := range r.Names() {
		act, ok := r.Lookup(name)
		if !ok {
			continue
		}
		o := act.Options()
		o.Params, o.Doc = act.Names(), ""
		if !reflect.ValueOf(o).IsZero() {
			told[name] = o
		}
	}
	return told
}

// encodeOptions is how a journal has them, nil for none.
func encodeOptions(o activities.Options) []byte {
	if reflect.ValueOf(o).IsZero() {
		return nil
	}
	b, _ := json.Marshal(o) // plain fields: never fails
	return b
}

// note keeps what sessions tell of their activities: where two differ, the newer one's word. It stays known when
// they are gone, for a step of theirs may have to be tried again before the next has come. For a worker that takes the
// step over then, the journal has it.
func (e *elsewhere) note(list []Worker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byName == nil {
		e.byName = make(map[string]activities.Options)
	}
	for i := range list {
		for _, name := range list[i].Info.Activities {
			e.byName[name] = list[i].Info.Options[name]
		}
	}
}

// of are the options of an activity, known when a session has told of it.
func (e *elsewhere) of(name string) (o activities.Options, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o, known = e.byName[name]
	return o, known
}

// registration is how the activity of a step is registered elsewhere, if that is known. Who asks for a name of which nobody
// has told looks; who asks meanwhile waits for what is found, for a call that goes by the defaults is not shared with others.
func (e *Engine) registration(ctx context.Context, st *step, answered func(func() error) error) (activities.Options, bool) {
	if st.cmd.Kind != starlark.CallActivity {
		return activities.Options{}, true // there is none
	}
	there := &e.elsewhere
	if o, known := there.of(st.cmd.Name); known {
		return o, true
	}
	select {
	case there.looking <- struct{}{}:
		defer func() { <-there.looking }()
	case <-ctx.Done():
		return activities.Options{}, false
	}
	if time.Since(there.looked) >= peekInterval && answered(func() error {
		sessions, err := e.store.Sessions(ctx)
		if err == nil {
			there.note(workersOf(sessions))
			there.looked = time.Now()
		}
		return err
	}) != nil { // who asks next looks again
		return activities.Options{}, false
	}
	return there.of(st.cmd.Name)
}
