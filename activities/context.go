// What an activity finds in its context.

package activities

import (
	"context"
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
	Queue          string
	Deadline       time.Time // zero when the attempt has no timeout
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

// Heartbeat says that the attempt is alive and how far it is. Progress that
// JSON cannot say is reported as null. Outside of an attempt it does nothing.
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
