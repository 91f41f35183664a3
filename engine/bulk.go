// How much a turn writes at once.

package engine

import (
	"fmt"

	"github.com/senpuki/senpuki/backend"
)

// maxTurn bounds the bytes of one turn. PostgreSQL takes a gigabyte in one message, and what is larger it would
// refuse for ever.
const maxTurn = 512 << 20

// bulk is how many bytes a turn writes.
func bulk(t *backend.Turn) int {
	n := len(t.Published) + len(t.Result) + len(t.Failure)
	for _, r := range t.Rows {
		n += len(r)
	}
	for i := range t.Logs {
		n += len(t.Logs[i].Message) + len(t.Logs[i].Fields)
	}
	for i := range t.Children {
		n += len(t.Children[i].Input)
	}
	for i := range t.Orders {
		n += len(t.Orders[i].Payload)
	}
	for i := range t.Tasks {
		n += len(t.Tasks[i].Input)
	}
	for i := range t.Memos {
		n += len(t.Memos[i].Result)
	}
	for i := range t.Dead {
		n += len(t.Dead[i].Failure) + len(t.Dead[i].Input)
	}
	if t.Next != nil {
		for _, r := range t.Next.Rows {
			n += len(r)
		}
	}
	return n
}

// bounded refuses a turn that no database would take. Its execution is stuck, and nobody else. The turn that says so is
// not refused: it has little more than earlier ones had, and the session would own for ever what it does not let go.
func (w *worker) bounded(t *backend.Turn) error {
	if n := bulk(t); n > w.maxTurn && t.Stuck == nil {
		return fmt.Errorf("the script asks for %d MB before it waits for any of it, and %d MB is the most that can be stored at once: ask for less at a time (limit = ...)", n>>20, w.maxTurn>>20)
	}
	return nil
}

// sizeOfNew is how many bytes a new execution writes.
func sizeOfNew(n backend.NewExecution) int { return len(n.Input) + len(n.First) }

// sizeOfMessage is how many bytes a message has.
func sizeOfMessage(m backend.Message) int { return len(m.Payload) }
