// Executions that end and that nobody waits for.

package postgres

import (
	"cmp"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// lone is a turn that ends an execution of which all is known: its key, that it is the session's, and that it has no parent.
type lone struct {
	turn int
	key  int64
}

// ends finds such turns, in the order of the keys, in a batch that locks no other executions: then
// their rows need not be locked ahead of all else, nor be looked for by their ids. Whoever
// began to watch one meanwhile is found when it has ended, and the batch is run again without this.
func (k *known) ends(b *backend.Batch) (list []lone) {
	if len(b.Send)+len(b.Settle)+len(b.Back) > 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := make(map[backend.RunKey]bool, len(b.Turns))
	for i := range b.Turns {
		t := &b.Turns[i]
		if !t.Ordinary() || t.Then == backend.Release || t.Published != nil || seen[t.Run] {
			return nil
		}
		seen[t.Run] = true
		if t.Then != backend.Finish {
			continue
		}
		r, ok := k.runs[t.Run]
		if !ok || r.owner != b.Session || b.Session == 0 || r.execution != t.Execution || r.key == 0 || !r.orphan {
			return nil
		}
		list = append(list, lone{i, r.key})
	}
	slices.SortFunc(list, func(a, b lone) int { return cmp.Compare(a.key, b.key) })
	return list
}

// endAlone queues the end of such executions, and the removal of what is left of them.
func (c *committer) endAlone() {
	if len(c.lone) == 0 {
		return
	}
	var keys, keep []int64
	var ends endings
	for _, l := range c.lone {
		t := &c.b.Turns[l.turn]
		keys = append(keys, l.key)
		if t.State != backend.Completed {
			keep = append(keep, l.key)
		}
		ends.add(t, l.key)
	}
	c.add("WITH "+endedBy("$2::bigint[]"), append([]any{int64(c.b.Session), keys}, ends.args()...)...).guard = errApart
	// In a later statement than the one that has locked them; see "The instant of release".
	c.add(`WITH messages AS (DELETE FROM inbox WHERE execution = ANY($1::bigint[]) RETURNING *),
			kept AS (`+leftover("$3::bigint[]")+`),
			tasks AS (DELETE FROM task WHERE run = ANY($2::bigint[])),
			waiters AS (DELETE FROM memo_waiter WHERE run = ANY($2::bigint[]))
		SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM watch WHERE target = ANY($1::bigint[]))
			OR EXISTS (SELECT 1 FROM memo WHERE run = ANY($2::bigint[]) AND result IS NULL) THEN 0 ELSE 1 END)`,
		keys, ends.runs, keep).guard = errApart
}
