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
	mu     sync.Mutex // guards all below
	byName map[string]activities.Options
	looked time.Time // when the sessions were last read for a name that nobody had told of
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

// of are the options of an activity, known when a session has told of it; stale reports that the sessions may be read again.
func (e *elsewhere) of(name string) (o activities.Options, known, stale bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o, known = e.byName[name]; !known && time.Since(e.looked) >= peekInterval {
		e.looked, stale = time.Now(), true
	}
	return o, known, stale
}

// registration is how the activity of a step is registered elsewhere, if that is known.
func (e *Engine) registration(ctx context.Context, st *step) (activities.Options, bool) {
	if st.cmd.Kind != starlark.CallActivity {
		return activities.Options{}, true // there is none
	}
	o, known, stale := e.elsewhere.of(st.cmd.Name)
	if !stale {
		return o, known
	}
	sessions, err := e.store.Sessions(ctx)
	if err != nil { // who asks next looks again
		return o, false
	}
	e.elsewhere.note(workersOf(sessions))
	o, known, _ = e.elsewhere.of(st.cmd.Name)
	return o, known
}
