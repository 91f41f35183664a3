// What a store knows without asking: how far journals reach, and whose runs are.

package sqlite

import "github.com/senpuki/senpuki/backend"

// maxKnown bounds what is remembered of runs.
const maxKnown = 1 << 17

// run is what is remembered of one. A journal only grows, so a row that was there is there.
// What a session has claimed stays its own until the session itself gives it up,
// which it does through this store, or until it is revoked: and then the fence of every batch fails. All
// of it is forgotten when a transaction fails, for it may have been learned in there.
type run struct {
	last      int64             // row that is known to exist; -1: none
	owner     backend.SessionID // 0: not known
	execution string
}

// known is guarded by the turnstile.
type known map[backend.RunKey]run

// follows reports whether the row before a turn's is known to exist, and be the last.
func (k known) follows(t *backend.Turn) bool {
	if t.First == 0 {
		return true
	}
	r, ok := k[t.Run]
	return ok && r.last == t.First-1
}

// held reports whether a turn's execution is known to run, to be the session's and to be not stuck.
func (k known) held(session backend.SessionID, t *backend.Turn) bool {
	r, ok := k[t.Run]
	return ok && r.owner == session && session != 0 && r.execution == t.Execution
}

// wrote notes that a row exists and is the last one.
func (k known) wrote(key backend.RunKey, row int64) {
	r := k.get(key)
	r.last = row
	k[key] = r
}

// owns notes that an execution is a session's.
func (k known) owns(key backend.RunKey, session backend.SessionID, execution string) {
	r := k.get(key)
	r.owner, r.execution = session, execution
	k[key] = r
}

// leaves notes that an execution may be nobody's from now on, or stuck.
func (k known) leaves(key backend.RunKey) {
	if r, ok := k[key]; ok {
		r.owner = 0
		k[key] = r
	}
}

// get returns what is known of a run, with room for it.
func (k known) get(key backend.RunKey) run {
	if r, ok := k[key]; ok {
		return r
	}
	if len(k) >= maxKnown {
		clear(k)
	}
	return run{last: -1}
}
