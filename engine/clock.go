// Estimated database time.

package engine

import (
	"math"
	"sync/atomic"
	"time"
)

// clock estimates the database's time: the process's monotonic clock plus an
// offset taken at each heartbeat. It never runs backwards, unless the database's is set back.
type clock struct {
	base   time.Time    // with monotonic reading
	offset atomic.Int64 // microseconds: database time at base
	last   atomic.Int64
	told   atomic.Int64 // microseconds after base when set was last called; 0 is never
}

func newClock() *clock {
	c := &clock{base: time.Now()}
	c.offset.Store(c.base.UnixMicro())
	return c
}

// set is told the database's time as of some moment between before and now. What is known already stays unless that is
// impossible: an answer that was long on its way says little, and must not make it worse.
func (c *clock) set(database, before time.Time) {
	if database.IsZero() {
		return
	}
	at := database.UnixMicro()
	least, most := at-time.Since(c.base).Microseconds(), at-before.Sub(c.base).Microseconds()
	old := c.offset.Load()
	offset := min(max(old, least), most)
	c.offset.Store(offset)
	if c.told.Load() == 0 || old-offset > time.Second.Microseconds() {
		c.last.Store(0) // until now it was this machine's time, or the database's was set back
	}
	c.told.Store(max(1, time.Since(c.base).Microseconds()))
}

// age is how long ago it was set.
func (c *clock) age() time.Duration {
	told := c.told.Load()
	if told == 0 {
		return math.MaxInt64
	}
	return time.Since(c.base) - time.Duration(told)*time.Microsecond
}

// now is the estimated database time in microseconds since 1970.
func (c *clock) now() int64 {
	t := c.offset.Load() + time.Since(c.base).Microseconds()
	for {
		last := c.last.Load()
		if t <= last {
			return last
		}
		if c.last.CompareAndSwap(last, t) {
			return t
		}
	}
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
