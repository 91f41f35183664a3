// What an activity finds in its context.

package activities

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// AttemptInfo is the identity of a running attempt.
type AttemptInfo struct {
	Execution string
	Run       int
	Step      string
	Activity  string
	Attempt   int // counts from 1
	// IdempotencyKey is the same for every attempt of a step.
	IdempotencyKey string
	Queue          string    // that the step belongs to: its own, or else the execution's
	Deadline       time.Time // zero when the attempt has no timeout
}

// IdempotencyKey is the key of a step by the execution and run in which it was first asked for.
func IdempotencyKey(execution string, run int, step string) string {
	b := append(make([]byte, 0, 64), execution...)
	b = strconv.AppendInt(append(b, '/'), int64(run), 10)
	return string(append(append(b, '/'), step...))
}

type (
	infoKey      struct{}
	heartbeatKey struct{}
)

// WithInfo returns a context whose [Info] is info.
func WithInfo(ctx context.Context, info AttemptInfo) context.Context {
	return context.WithValue(ctx, infoKey{}, &info)
}

// Info returns the identity of the attempt that ctx belongs to, zero outside of one.
func Info(ctx context.Context) AttemptInfo {
	if info, ok := ctx.Value(infoKey{}).(*AttemptInfo); ok {
		return *info
	}
	return AttemptInfo{}
}

// WithHeartbeat returns a context whose [Heartbeat] calls record with the
// progress as JSON. record is called by the activity's goroutines.
func WithHeartbeat(ctx context.Context, record func(progress []byte)) context.Context {
	return context.WithValue(ctx, heartbeatKey{}, record)
}

// Heartbeat says that the attempt is alive and how far it is, which those who look at the worker see until the attempt
// ends: it is not stored. Progress that JSON cannot say is reported as null. Outside of an attempt it does nothing.
func Heartbeat(ctx context.Context, progress any) {
	record, ok := ctx.Value(heartbeatKey{}).(func([]byte))
	if !ok {
		return
	}
	raw, err := marshal(progress)
	if err != nil {
		raw = []byte("null")
	}
	record(raw)
}

// Context is the context of one attempt: it has an [Info] and ends when it is cancelled. It does what
// context.WithCancel and WithInfo together do, within the record that an engine keeps of the attempt and without a
// place among the children of a parent: an engine has many of them at once, each for a moment, and ends them by itself.
// Its zero value is ready; it must not be copied.
type Context struct {
	// Identity and the place where the step was first asked for; set before the context is used. Its
	// IdempotencyKey may be left out: it is made when somebody asks.
	Identity AttemptInfo
	Origin   string
	First    int    // number of the run
	Beat     func() // called at every heartbeat, unless it is nil

	mu    sync.Mutex // guards all below
	ended bool
	done  chan struct{}  // made when first asked for
	after map[int]func() // to be called when it ends
	asked int            // how often AfterFunc was called
	heard []byte         // the progress of the newest heartbeat
}

// over is the channel of every context that had ended when it was asked for one.
var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Deadline says that there is none: an attempt that is out of time is cancelled.
func (c *Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is closed when the context ends.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.done != nil:
	case c.ended:
		c.done = over
	default:
		c.done = make(chan struct{})
	}
	return c.done
}

// Err is context.Canceled when the context has ended.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Heard is called with the progress of a heartbeat, as JSON.
func (c *Context) Heard(progress []byte) {
	c.mu.Lock()
	c.heard = progress
	c.mu.Unlock()
	if c.Beat != nil {
		c.Beat()
	}
}

// Progress is what the newest heartbeat has told, nil when there was none.
func (c *Context) Progress() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// Value has the identity, and who is told of heartbeats.
func (c *Context) Value(key any) any {
	switch key.(type) {
	case infoKey:
	case heartbeatKey:
		return c.Heard
	default:
		return nil
	}
	info := c.Identity
	if info.IdempotencyKey == "" {
		info.IdempotencyKey = IdempotencyKey(c.Origin, c.First, info.Step)
	}
	return &info
}

// Cancel ends the context.
func (c *Context) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	if c.done != nil {
		close(c.done)
	}
	for _, f := range c.after {
		go f()
	}
	c.after = nil
}

// AfterFunc calls f in a goroutine of its own when the context has ended, unless stop is called before. The
// contexts that are made from this one are ended so; without it each would have a goroutine that waits.
func (c *Context) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[int]func())
	}
	c.asked++
	key := c.asked
	c.after[key] = f
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[key]
		delete(c.after, key)
		return there
	}
}
