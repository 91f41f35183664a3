// Reading what there may be much of, one by one.

package engine

import (
	"context"
	"fmt"
	"iter"

	"github.com/senpuki/senpuki/backend"
)

// each yields the executions that a filter selects. Its limit is how many of them are in memory at once.
func (e *Engine) each(ctx context.Context, f backend.Filter) iter.Seq2[*backend.Execution, error] {
	return func(yield func(*backend.Execution, error) bool) {
		for {
			page, err := e.store.List(ctx, f)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page {
				if !yield(&page[i], nil) {
					return
				}
			}
			if len(page) < f.Limit {
				return
			}
			last := &page[len(page)-1]
			f.BeforeAt, f.BeforeID = last.Created, last.ID
		}
	}
}

// entriesOf yields the entries of a row, which point into it.
func entriesOf(row []byte) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		reader := rowReader{data: row}
		for {
			var e entry
			ok, err := reader.next(&e)
			if err == nil && !ok || !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// journalRows reads the journal of a run, all of its rows.
func (e *Engine) journalRows(ctx context.Context, run backend.RunKey) (rows [][]byte, err error) {
	err = e.store.Journal(ctx, run, 0, func(r backend.Row) error {
		if r.Number != int64(len(rows)) {
			return fmt.Errorf("%w: row %d is missing", errRow, len(rows))
		}
		rows = append(rows, append([]byte(nil), r.Data...))
		return nil
	})
	return rows, err
}
