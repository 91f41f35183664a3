package backend

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Hint says what may have changed. Hints are only that: a lost, doubled or late one costs
// latency, never correctness; whoever gets one looks for itself. The zero Hint means that anything may have changed.
type Hint struct {
	From       string    `json:"from,omitempty"`       // the process that sent it, in words of its own
	Queues     []string  `json:"queues,omitempty"`     // have new executions or tasks; see AnyQueue
	Due        time.Time `json:"due,omitzero"`         // when, if some of them are due later
	Executions []string  `json:"executions,omitempty"` // have new messages; "*" stands for some
	Ended      []string  `json:"ended,omitempty"`      // executions that have ended
	Recall     bool      `json:"recall,omitempty"`     // tasks that run are to end
	Lost       bool      `json:"-"`                    // never sent: no hints come in for now; see Notifier
	Why        error     `json:"-"`                    // with Lost: for what reason, when that is known
}

// AnyQueue among a hint's Queues stands for all of them, and also for what is due there later.
const AnyQueue = "*"

// Anything reports whether h says nothing in particular.
func (h *Hint) Anything() bool {
	return len(h.Queues)+len(h.Executions)+len(h.Ended) == 0 && !h.Recall && !h.Lost
}

// Encode returns h as JSON of at most limit bytes: the zero Hint when it is larger.
func (h Hint) Encode(limit int) []byte {
	b, err := json.Marshal(h)
	if err != nil || len(b) > limit {
		return []byte("{}")
	}
	return b
}

// DecodeHint reads what Encode wrote. What it cannot read is the zero Hint:
// another release may have more to say.
func DecodeHint(b []byte) (h Hint) {
	if err := json.Unmarshal(b, &h); err != nil {
		return Hint{}
	}
	return h
}

// Merge adds what another hint says.
func (h *Hint) Merge(o Hint) {
	add := func(to *[]string, words []string) {
		for _, w := range words {
			if !slices.Contains(*to, w) {
				*to = append(*to, w)
			}
		}
	}
	if !o.Due.IsZero() && (h.Due.IsZero() || o.Due.Before(h.Due)) {
		h.Due = o.Due
	}
	add(&h.Queues, o.Queues)
	add(&h.Executions, o.Executions)
	add(&h.Ended, o.Ended)
	h.Recall = h.Recall || o.Recall
}

// Notifier carries hints between processes. A store may be one.
type Notifier interface {
	// Notify sends a hint to all who listen.
	Notify(ctx context.Context, h Hint) error

	// Listen calls heard for each hint until ctx ends, and connects again by
	// itself when it has to; then it calls heard with the zero Hint, as at its start, since
	// hints may have been missed. When it cannot connect again at once it first calls heard with a Hint that says Lost:
	// those who listen look more often by themselves then. It returns ctx's error, or why it can never listen.
	Listen(ctx context.Context, heard func(Hint)) error
}
