// Estimated database time.

package engine

import (
	"math"
	"sync"
	"time"
)

// clock estimates the database's time: the process's monotonic clock plus an
// offset taken at each heartbeat. It never runs backwards, unless the database's is set back.
type clock struct {
	base time.Time // with monotonic reading

	mu     sync.Mutex // guards all below
	offset int64      // microseconds: database time at base
	last   int64      // what now has returned
	told   int64      // microseconds after base when set was last called; 0 is never
}

func newClock() *clock {
	base := time.Now()
	return &clock{base: base, offset: base.UnixMicro()}
}

// set is told the database's time as of some moment between before and now. What is known already stays unless that is
// impossible: an answer that was long on its way says little, and must not make it worse.
func (c *clock) set(database, before time.Time) {
	if database.IsZero() {
		return
	}
	at := database.UnixMicro()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Since(c.base).Microseconds()
	old := c.offset
	c.offset = min(max(old, at-now), at-before.Sub(c.base).Microseconds())
	if c.told == 0 || old-c.offset > time.Second.Microseconds() {
		c.last = 0 // until now it was this machine's time, or the database's was set back
	}
	c.told = max(1, now)
}

// age is how long ago it was set.
func (c *clock) age() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == 0 {
		return math.MaxInt64
	}
	return time.Since(c.base) - time.Duration(c.told)*time.Microsecond
}

// now is the estimated database time in microseconds since 1970.
func (c *clock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, c.offset+time.Since(c.base).Microseconds())
	return c.last
}

// until is how long it is to the database time at.
func (c *clock) until(at int64) time.Duration {
	return time.Duration(at-c.now()) * time.Microsecond
}

func fromMicro(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
