// What a store knows without asking: how far journals reach, and whose runs are.

package postgres

import (
	"sync"

	"github.com/senpuki/senpuki/backend"
)

// maxKnown bounds what is remembered of runs.
const maxKnown = 1 << 17

// known is what a store remembers of runs. A journal only grows, so a row that was
// there is there. What a session has claimed stays its own until the session itself gives it up, which
// it does through this store, or until it is revoked: and then its row is gone, and no batch of it lands any more.
type known struct {
	mu   sync.Mutex // guards runs
	runs map[backend.RunKey]run
}

// run is one of them.
type run struct {
	last      int64             // row that is known to exist; -1: none
	owner     backend.SessionID // 0: not known
	execution string
	key       int64 // of the execution; known with the owner
	orphan    bool  // the execution has no parent; likewise
}

// row reports whether a row is known to exist.
func (k *known) row(key backend.RunKey, row int64) bool {
	if row < 0 {
		return row == -1
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.runs[key]
	return ok && r.last >= row
}

// held reports whether a turn's execution is known to run, to be the session's and to be not stuck.
func (k *known) held(session backend.SessionID, t *backend.Turn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.runs[t.Run]
	return ok && r.owner == session && session != 0 && r.execution == t.Execution
}

// claimed remembers whose executions are now, and their keys.
func (k *known) claimed(all []backend.Claimed, keys []int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range all {
		if x := &all[i]; x.Stuck == nil && x.Damage == "" {
			r := k.get(x.Run)
			r.owner, r.execution, r.key, r.orphan = x.Owner, x.ID, keys[i], x.Parent == ""
			k.runs[x.Run] = r
		}
	}
}

// created remembers whose new executions are, once they are there.
func (k *known) created(session backend.SessionID, asked []backend.NewExecution, made []backend.Created) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range made {
		if n := &asked[i]; n.Claim && made[i].Existing == nil {
			r := k.get(made[i].Run)
			// An execution bears the key of its first run.
			r.owner, r.execution, r.key, r.orphan = session, n.ID, int64(made[i].Run), n.Parent == ""
			if n.First != nil {
				r.last = 0
			}
			k.runs[made[i].Run] = r
		}
	}
}

// leaving forgets whose the executions are that a batch may give up, or make
// stuck. It is called before the batch is tried: what became of it may never be known.
func (k *known) leaving(turns []backend.Turn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range turns {
		t := &turns[i]
		if r, ok := k.runs[t.Run]; ok && (t.Then != backend.Hold || t.Stuck != nil) {
			r.owner = 0
			k.runs[t.Run] = r
		}
	}
}

// landed remembers what a batch has written, once it has landed.
func (k *known) landed(turns []backend.Turn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range turns {
		t := &turns[i]
		switch {
		case t.Then == backend.Finish || t.Then == backend.Continue:
			delete(k.runs, t.Run)
		case len(t.Rows) > 0:
			r := k.get(t.Run)
			r.last = t.First + int64(len(t.Rows)) - 1
			k.runs[t.Run] = r
		}
	}
}

// get returns what is known of a run, with room for it.
func (k *known) get(key backend.RunKey) run {
	if r, ok := k.runs[key]; ok {
		return r
	}
	if k.runs == nil || len(k.runs) >= maxKnown {
		k.runs = make(map[backend.RunKey]run)
	}
	return run{last: -1}
}
