// The workload limit: journal rows written by the raw driver, the yardstick of all others.

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// limitSpan is how long each batch size is measured.
	limitSpan = 700 * time.Millisecond
	// limitRow is the size of a journal row of a step of the other workloads, in bytes.
	limitRow = 160
	// limitRuns journals are written to in turns, limitLength rows each, then the next ones: the rows of throughput.
	limitRuns, limitLength = 1000, 6
)

// limitBatches are the rows a transaction.
var limitBatches = []int{1, 16, 256}

// Raw writes rows (run, row, session, data) to a scratch table in the place of the measured
// database, with nothing but its driver.
type Raw interface {
	// Write commits one transaction: rows with these keys, each with bytes of its own.
	Write(ctx context.Context, runs, rows []int64, data [][]byte) error
	// Close removes the scratch table.
	Close() error
}

// rate is what one batch size came to.
type rate struct {
	batch   int
	rows    int
	elapsed time.Duration
}

func (r rate) perSecond() float64 { return float64(r.rows) / r.elapsed.Seconds() }

func (r rate) result(c Config) Result {
	return Result{
		Workload: fmt.Sprintf("limit/%d", r.batch), Backend: c.Backend, N: r.rows, Value: round(r.perSecond(), 1), Unit: "rows/s",
		Detail: map[string]any{"rows_per_commit": r.batch, "row_bytes": limitRow},
	}
}

// measureLimit writes journal rows, so many a transaction. The table and the order of the
// keys are those of the journal under throughput.
func measureLimit(ctx context.Context, c Config, batch int) (r rate, err error) {
	settle()
	raw, err := c.Raw(ctx, batch)
	if err != nil {
		return rate{}, fmt.Errorf("limit/%d: %w", batch, err)
	}
	defer func() {
		if err = errors.Join(err, raw.Close()); err != nil {
			err = fmt.Errorf("limit/%d: %w", batch, err)
		}
	}()
	runs, rows, data := make([]int64, batch), make([]int64, batch), make([][]byte, batch)
	for i := range data {
		data[i] = make([]byte, limitRow)
	}
	r.batch = batch
	for begun := time.Now(); r.elapsed < limitSpan; r.elapsed = time.Since(begun) {
		for i := range batch {
			block, turn := r.rows/(limitRuns*limitLength), r.rows%(limitRuns*limitLength)
			runs[i], rows[i] = int64(block*limitRuns+turn%limitRuns), int64(turn/limitRuns)
			r.rows++
		}
		if err := raw.Write(ctx, runs, rows, data); err != nil {
			return rate{}, err
		}
	}
	return r, nil
}
