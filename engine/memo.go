// Memos: calls whose result is shared between executions.

package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// shares reports whether a step's result is shared.
func (st *step) shares() bool { return st.permanent || st.cached }

// memoKey finds the key of a step's result: the hash, and what people see of it.
func memoKey(st *step) (hash, shown string, err error) {
	mode, version, called := "cached", st.version, ""
	if st.permanent {
		mode = "idempotent"
	}
	if st.key != nil {
		called, shown = "key:"+*st.key, *st.key
	} else {
		params := st.params
		if st.act != nil {
			params = st.act.Names()
		}
		args, err := activities.Positional(params, st.cmd.Args, st.cmd.Kwargs)
		if err != nil {
			return "", "", err
		}
		canonical, err := starlark.Canonical(args)
		if err != nil {
			return "", "", err
		}
		called, shown = "args:"+string(canonical), callText(canonical, nil)
	}
	sum := sha256.New()
	for _, part := range []string{mode, st.cmd.Name, version, called} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)), shown, nil
}

// reserve asks for the step's memo with the turn under way.
func (x *execution) reserve(st *step) *activities.Failure {
	hash, shown, err := memoKey(st)
	if err != nil {
		return failureOf(err)
	}
	st.memo = hash
	g := x.gather()
	g.Reserve = append(g.Reserve, backend.Reservation{Step: st.cmd.Step, Hash: hash, Activity: st.cmd.Name, Key: shown})
	return nil
}

// reserveAgain asks once more, in another run.
func (x *execution) reserveAgain(st *step) {
	g := x.gather()
	g.Reserve = append(g.Reserve, backend.Reservation{Step: st.cmd.Step, Hash: st.memo, Activity: st.cmd.Name, Key: callText(st.cmd.Args, st.cmd.Kwargs)})
}

// concludeMemo ends a step's reservation, or its waiting for one; nil frees the key. It does not stamp:
// no entry of its own would tell a replay of that time.
func (x *execution) concludeMemo(st *step, result []byte) {
	if st.memo == "" {
		return
	}
	x.w.configure(st)
	r := backend.MemoResult{Step: st.cmd.Step, Hash: st.memo, Result: result}
	if result != nil && st.cacheTTL > 0 && !st.permanent {
		r.Expires = fromMicro(x.now + st.cacheTTL.Microseconds())
	}
	g := x.gather()
	g.Memos = append(g.Memos, r)
}

// absorbMemo takes the answer to a reservation.
func (x *execution) absorbMemo(st *step, m *backend.Message) (d starlark.Delivery, ok bool) {
	switch {
	case st.memo == "" || st.held || st.dropped:
		return d, false
	case m.Name == backend.Hit:
		return x.done(st, backend.Hit, m.Payload), true
	}
	st.held, st.asked = true, x.stamp()
	x.put(&entry{kind: []byte(entryHeld), at: st.asked, step: []byte(st.cmd.Step)})
	x.enqueue(st)
	return d, false
}
