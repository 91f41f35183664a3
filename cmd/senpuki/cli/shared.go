// Steps that wait for a result which another execution computes: the person who waits is told whose it is.

package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

const (
	sharedPatience = 2 * time.Second // what comes sooner is not worth telling
	sharedLook     = time.Second
	sharedMost     = 10 // are looked up at a time
)

// tellShared tells of the steps here that wait for another execution, once, and again when nobody runs that any more.
func (d *driver) tellShared(ctx context.Context) {
	look := time.NewTicker(sharedLook)
	defer look.Stop()
	told := make(map[string]string) // by the hash of the result
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		waiting := d.progress.sharing(time.Now().Add(-sharedPatience), sharedMost)
		if len(waiting) == 0 {
			continue
		}
		live, err := offers(ctx, d.engine)
		if err != nil {
			continue
		}
		for _, it := range waiting {
			by, err := sharedWith(ctx, d.engine, d.store, it.memo, live)
			if err != nil || by == nil || by.execution == it.execution { // a database that fails is told of elsewhere
				continue
			}
			whose := fmt.Sprintf("the same call by execution %s, step %s", by.execution, by.step)
			switch {
			case by.stuck:
				whose += ", which is stuck; see why with: " + d.app.hint("show "+by.execution)
			case by.idle:
				whose += ", which nobody runs; go on with: " + d.app.resumeHint(by.execution)
			}
			if told[it.memo] != whose {
				told[it.memo] = whose
				d.progress.say(fmt.Sprintf("step %s %s: waits for %s", it.step, it.name, whose))
			}
		}
	}
}

// sharer is the step that computes a result which others wait for.
type sharer struct {
	execution, step string
	stuck           bool
	idle            bool // nobody runs it, and no worker will
}

// sharedWith finds who computes a shared result, while these processes live; nil when nobody does.
func sharedWith(ctx context.Context, eng *engine.Engine, store backend.Store, hash string, live []engine.SessionInfo) (*sharer, error) {
	memos, err := store.Memos(ctx, backend.MemoFilter{Hash: hash, Limit: 1})
	if err != nil || len(memos) == 0 || memos[0].Result != nil {
		return nil, err
	}
	by := &sharer{execution: memos[0].Execution, step: memos[0].Step}
	x, err := eng.State(ctx, by.execution)
	if err != nil {
		return nil, err
	}
	by.stuck = x.Stuck != nil
	by.idle = x.Owner == 0 && !slices.ContainsFunc(live, func(o engine.SessionInfo) bool { return !o.Hold })
	return by, nil
}
