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
	Owned      bool      `json:"owned,omitempty"`      // all of Executions are somebody's: to others that is nothing new
	Ended      []string  `json:"ended,omitempty"`      // executions that have ended
	Named      bool      `json:"named,omitempty"`      // those that were told of Ended have been named as Executions; the release before did not
	Recall     bool      `json:"recall,omitempty"`     // tasks that run are to end
	Awaits     bool      `json:"awaits,omitempty"`     // the sender waits for ends; nobody need tell of any while nobody does
	Asks       bool      `json:"asks,omitempty"`       // who waits for ends is to say so
	Lost       bool      `json:"-"`                    // never sent: no hints come in for now; see Notifier
	Why        error     `json:"-"`                    // with Lost: for what reason, when that is known
}

// AnyQueue among a hint's Queues stands for all of them, and also for what is due there later.
const AnyQueue = "*"

// Anything reports whether h says nothing in particular.
func (h *Hint) Anything() bool {
	return len(h.Queues)+len(h.Executions)+len(h.Ended) == 0 && !h.Recall && !h.Awaits && !h.Asks && !h.Lost
}

// Encode returns h as JSON texts of at most limit bytes each: several when it names more than one of them can hold, the
// zero Hint in place of a name that is too long.
func (h Hint) Encode(limit int) []string {
	b, err := json.Marshal(h)
	if err == nil && len(b) <= limit {
		return []string{string(b)}
	}
	rest, ok := h.split()
	if err != nil || !ok {
		return []string{"{}"}
	}
	return append(h.Encode(limit), rest.Encode(limit)...)
}

// split leaves half of the longest list with h and returns the other half; false when no list has two names.
func (h *Hint) split() (rest Hint, ok bool) {
	rest = Hint{From: h.From, Due: h.Due, Owned: h.Owned, Named: h.Named}
	list, other := &h.Queues, &rest.Queues
	if len(h.Executions) > len(*list) {
		list, other = &h.Executions, &rest.Executions
	}
	if len(h.Ended) > len(*list) {
		list, other = &h.Ended, &rest.Ended
	}
	half := len(*list) / 2
	*list, *other = (*list)[:half], (*list)[half:]
	return rest, half > 0
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
	if len(o.Executions) > 0 {
		h.Owned = o.Owned && (h.Owned || len(h.Executions) == 0)
	}
	if len(o.Ended) > 0 {
		h.Named = o.Named && (h.Named || len(h.Ended) == 0)
	}
	add(&h.Queues, o.Queues)
	add(&h.Executions, o.Executions)
	h.Ended = append(h.Ended, o.Ended...) // an execution ends once; looking for each among thousands would take long
	h.Recall, h.Awaits, h.Asks = h.Recall || o.Recall, h.Awaits || o.Awaits, h.Asks || o.Asks
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
