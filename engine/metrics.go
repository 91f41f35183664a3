// Metrics: what a worker counts, in atomic adds.

package engine

import (
	"maps"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Metrics counts what the workers of an engine do, from when it is first used
// on. The zero value is ready; it must not be copied, and several engines may share one. Times are in microseconds.
type Metrics struct {
	Claimed      Counter   // executions that a worker has begun to hold
	ClaimedTasks Counter   // tasks of other executions
	Claims       Histogram // time of a claim's query
	Commits      Counter   // transactions, also those that failed
	CommitFaults Counter   // transactions that failed for the database's sake
	CommitTime   Histogram // of a transaction
	BatchSize    Histogram // items of a transaction
	TurnTime     Histogram // from the first entry of a turn until it is durable
	ReplayTime   Histogram // of a whole replay; its count is that of the replays
	Released     Counter   // scripts let go while they waited
	Stuck        Counter   // turns that ended stuck
	Ended        [4]Counter
	Beats        Counter // heartbeats
	BeatFaults   Counter // heartbeats that failed
	SessionsLost Counter

	attempts atomic.Pointer[map[string]*ActivityMetrics] // replaced, never changed
	mu       sync.Mutex                                  // held while attempts is replaced
}

// ActivityMetrics are the attempts of one activity that ran in this process.
type ActivityMetrics struct {
	Outcomes [outcomes]Counter // by AttemptOutcome
	Time     Histogram         // of those that did not crash
}

// AttemptOutcome is how an attempt ended.
type AttemptOutcome int

// The outcomes of attempts.
const (
	AttemptDone AttemptOutcome = iota
	AttemptFailure
	AttemptTimedOut
	AttemptCancelled
	AttemptCrashed  // found begun after a takeover
	AttemptReturned // handed back by a graceful stop
	outcomes
)

// String is the outcome as a word.
func (o AttemptOutcome) String() string {
	return [...]string{"done", "failed", "timed_out", "cancelled", "crashed", "returned"}[o]
}

// Counter is a number that only grows.
type Counter struct{ n atomic.Int64 }

// Value is the count.
func (c *Counter) Value() int64 { return c.n.Load() }

// histogramBuckets are powers of two: bucket i counts what is at most 1<<i and more than half of it.
const histogramBuckets = 40

// Histogram counts values by their magnitude.
type Histogram struct {
	buckets [histogramBuckets]atomic.Int64
	sum     atomic.Int64
}

// observe counts a value; what is negative counts as zero.
func (h *Histogram) observe(v int64) {
	i := 0
	if v > 1 {
		i = min(bits.Len64(uint64(v-1)), histogramBuckets-1)
	}
	h.buckets[i].Add(1)
	h.sum.Add(max(v, 0))
}

// Read returns how many values there were, their sum, and how many were at most 1<<i.
func (h *Histogram) Read() (count uint64, sum int64, upTo [histogramBuckets]uint64) {
	sum = h.sum.Load()
	for i := range h.buckets {
		count += uint64(h.buckets[i].Load())
		upTo[i] = count
	}
	return count, sum, upTo
}

// Activities returns the attempts by activity. The map is not to be changed.
func (m *Metrics) Activities() map[string]*ActivityMetrics {
	if all := m.attempts.Load(); all != nil {
		return *all
	}
	return nil
}

// EndStates names the entries of Metrics.Ended: all states but pending and running.
var EndStates = [4]backend.State(backend.States()[2:])

// What follows is called on the hot path. A nil Metrics counts nothing.

// clock is now when somebody counts.
func (m *Metrics) clock() (t time.Time) {
	if m != nil {
		t = time.Now()
	}
	return t
}

// took records the time since began, unless that is zero.
func took(h *Histogram, began time.Time) {
	if !began.IsZero() {
		h.observe(time.Since(began).Microseconds())
	}
}

// activity is where an activity's attempts are counted. Names are those of
// steps that were accepted, so there are as many as scripts and registries have.
func (m *Metrics) activity(name string) *ActivityMetrics {
	if a, ok := m.Activities()[name]; ok {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.Activities())
	if a, ok := all[name]; ok {
		return a
	}
	if all == nil {
		all = make(map[string]*ActivityMetrics)
	}
	a := &ActivityMetrics{}
	all[name] = a
	m.attempts.Store(&all)
	return a
}

func (m *Metrics) attempt(name string, o AttemptOutcome, began time.Time) {
	if m == nil {
		return
	}
	a := m.activity(name)
	a.Outcomes[o].n.Add(1)
	took(&a.Time, began)
}

func (m *Metrics) claimed() {
	if m != nil {
		m.Claimed.n.Add(1)
	}
}

func (m *Metrics) claimedTask() {
	if m != nil {
		m.ClaimedTasks.n.Add(1)
	}
}

func (m *Metrics) asked(began time.Time) {
	if m != nil {
		took(&m.Claims, began)
	}
}

func (m *Metrics) commit(items int, began time.Time, fault bool) {
	if m == nil {
		return
	}
	m.Commits.n.Add(1)
	m.BatchSize.observe(int64(items))
	took(&m.CommitTime, began)
	if fault {
		m.CommitFaults.n.Add(1)
	}
}

func (m *Metrics) turn(began time.Time) {
	if m != nil {
		took(&m.TurnTime, began)
	}
}

func (m *Metrics) replay(began time.Time) {
	if m != nil {
		took(&m.ReplayTime, began)
	}
}

func (m *Metrics) released() {
	if m != nil {
		m.Released.n.Add(1)
	}
}

func (m *Metrics) stuck() {
	if m != nil {
		m.Stuck.n.Add(1)
	}
}

func (m *Metrics) ended(state backend.State) {
	if m == nil {
		return
	}
	for i, s := range EndStates {
		if s == state {
			m.Ended[i].n.Add(1)
		}
	}
}

func (m *Metrics) beat(err error) {
	if m == nil {
		return
	}
	m.Beats.n.Add(1)
	if err != nil {
		m.BeatFaults.n.Add(1)
	}
}

func (m *Metrics) sessionLost() {
	if m != nil {
		m.SessionsLost.n.Add(1)
	}
}
