package backend

import (
	"context"
	"encoding/json"
)

// Hint says where there may be something to do. The empty Hint says: look at
// everything.
type Hint struct {
	Queues     []string  `json:"queues,omitempty"`     // executions or tasks are due in them
	Executions []string  `json:"executions,omitempty"` // ids: messages came, or they ended
	Session    SessionID `json:"session,omitempty"`    // its executions have messages, or it was revoked
}

// Empty reports whether h names nothing in particular.
func (h Hint) Empty() bool {
	return len(h.Queues) == 0 && len(h.Executions) == 0 && h.Session == 0
}

// Encode returns h as JSON of at most limit bytes: the empty Hint when it is larger.
func (h Hint) Encode(limit int) []byte {
	b, err := json.Marshal(h)
	if err != nil || len(b) > limit {
		return []byte("{}")
	}
	return b
}

// DecodeHint reads what Encode wrote. What it cannot read is the empty Hint:
// another release may have more to say.
func DecodeHint(b []byte) Hint {
	var h Hint
	if err := json.Unmarshal(b, &h); err != nil {
		return Hint{}
	}
	return h
}

// Notifier is an optional ability, of a store or beside it: wake-ups between
// processes. They are hints only: lost, doubled or late, they cost latency, and
// the poll is the truth. Who notifies hears itself, too.
type Notifier interface {
	// Notify tells all who listen, after what it is about has landed. A hint
	// too large to be sent becomes the empty one.
	Notify(ctx context.Context, h Hint) error

	// Listen calls heard for every hint until ctx ends, and then returns its
	// error; it reconnects by itself and calls heard with the empty Hint each time it
	// has (also the first), because anything may have been missed. heard must not block for long. Any other
	// error means that there will be no hints, and says why.
	Listen(ctx context.Context, heard func(Hint)) error
}
