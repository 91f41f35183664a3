// What a transaction of the committer takes: when it begins, and which claims it carries.

package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const (
	// handful is how many writes do not begin a transaction of their own beside one that is under way: fewer wait for its
	// end, and go with what has come until then. Nothing waits when none is under way. What a transaction costs the server hardly depends on
	// what is in it, and only over a slow network is there something to gain by overtaking: one that takes longer than lull
	// is not waited for any longer. (Measured: with steps of 5 ms two processes and the server need a tenth less of two cores.)
	handful = 8
	lull    = time.Millisecond
	// maxRiders is how many executions a claim may ask for that goes with a batch: the turns of it wait for the claim.
	maxRiders = 8
)

// gather waits until something is to be written and takes all that fits into a transaction; false when the session is over.
func (c *committer) gather(b *batch) bool {
	waited := false
	for {
		c.mu.Lock()
		n := fit(min(len(c.queue), maxBatch), func(i int) int { return c.queue[i].size() })
		early := n > 0 && n < handful && c.flying > 0 && !waited
		if n > 0 && !early {
			c.flying++
			b.writes = append(b.writes[:0], c.queue[:n]...)
			left := copy(c.queue, c.queue[n:])
			clear(c.queue[left:])
			c.queue = c.queue[:left]
			c.mu.Unlock()
			if left > 0 {
				c.call()
			}
			return true
		}
		c.mu.Unlock()
		var late <-chan time.Time
		if waited = false; early {
			late = time.After(lull)
		}
		select {
		case <-c.news:
		case <-late:
			waited = true
		case <-c.ctx.Done():
			return false
		}
	}
}

// over notes that a transaction is not under way any more.
func (c *committer) over() {
	c.mu.Lock()
	c.flying--
	waits := len(c.queue) > 0
	c.mu.Unlock()
	if waits {
		c.call()
	}
}

// errAlone tells who claims that no batch has taken the claim, and none will soon.
var errAlone = errors.New("a batch has failed for which a claim waited")

// claim asks for executions: with the next batch when a transaction is under way and few are asked for, for it is one less then. While
// the database fails nobody knows when that will be; and after a batch that had a claim failed, which may be to blame, claims
// are made by themselves until one is answered. Went says that it went with a batch.
func (c *committer) claim(ctx context.Context, r *backend.ClaimRequest) (claimed []backend.Claimed, went bool, err error) {
	done := make(chan wrote, 1)
	w := &write{claim: r, done: func(r wrote) { done <- r }}
	c.mu.Lock()
	rides, news := c.flying > 0 && !c.alone && c.retrying.Load() == 0 && r.IDs == nil && !r.Expired && r.Limit <= maxRiders, false
	if rides {
		rides, news = c.push(w)
	}
	c.mu.Unlock()
	if news {
		c.call()
	}
	if rides {
		if answer := c.await(ctx, w, done); !errors.Is(answer.err, errAlone) {
			return answer.claimed, true, answer.err
		}
	}
	if claimed, err = c.store.Claim(ctx, *r); err == nil {
		c.mu.Lock()
		c.alone = false
		c.mu.Unlock()
	}
	return claimed, false, err
}

// unclaim sends a claim back that waits for a batch, for one has failed; had says that it carried another.
func (c *committer) unclaim(had bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alone = c.alone || had
	c.queue = unclaimed(c.queue, errAlone)
}

// unclaimed answers the claim among writes with err and returns the others.
func unclaimed(writes []*write, err error) []*write {
	at := slices.IndexFunc(writes, func(w *write) bool { return w.claim != nil })
	if at < 0 {
		return writes
	}
	writes[at].done(wrote{err: err})
	return slices.Delete(slices.Clone(writes), at, at+1)
}
