// The workload limit: journal rows written by the raw driver, the yardstick of all others.

package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver that the SQLite backend uses too
)

const (
	// limitSpan is how long each batch size is measured.
	limitSpan = 700 * time.Millisecond
	// limitRow is the size of a journal row of a step of the other workloads, in bytes.
	limitRow = 160
	// limitRuns journals are written to in turns, limitLength rows each, then the next ones: the rows of throughput.
	limitRuns, limitLength = 1000, 6
	// limitStatement is how many rows one prepared statement inserts; more are not faster.
	limitStatement = 8
)

// limitBatches are the rows a transaction.
var limitBatches = []int{1, 16, 256}

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
		Detail: map[string]any{"rows_per_commit": r.batch, "row_bytes": limitRow, "synchronous": c.Synchronous},
	}
}

// measureLimit writes journal rows to a scratch file in dir, one transaction a batch. The table and the order of the
// keys are those of the journal under throughput.
func measureLimit(ctx context.Context, dir, synchronous string) (_ []rate, err error) {
	scratch, err := os.MkdirTemp(dir, ".senpuki-limit-*")
	if err != nil {
		return nil, fmt.Errorf("limit: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	var rates []rate
	for _, batch := range limitBatches {
		path := filepath.Join(scratch, fmt.Sprintf("limit%d.db", batch))
		r, err := writeRows(ctx, path, synchronous, batch)
		if err != nil {
			return nil, fmt.Errorf("limit/%d: %w", batch, err)
		}
		rates = append(rates, r)
	}
	return rates, nil
}

func writeRows(ctx context.Context, path, synchronous string, batch int) (_ rate, err error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return rate{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return rate{}, err
	}
	defer conn.Close()
	for _, statement := range []string{
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = " + synchronous,
		`CREATE TABLE journal (run INTEGER NOT NULL, row INTEGER NOT NULL, session INTEGER NOT NULL, data BLOB NOT NULL,
			PRIMARY KEY (run, row)) WITHOUT ROWID`,
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return rate{}, err
		}
	}
	group := min(batch, limitStatement)
	insert, err := conn.PrepareContext(ctx, "INSERT INTO journal (run, row, session, data) VALUES "+
		strings.Repeat("(?, ?, 1, ?), ", group-1)+"(?, ?, 1, ?)")
	if err != nil {
		return rate{}, err
	}
	defer insert.Close()
	data := make([]byte, limitRow)
	r := rate{batch: batch}
	args := make([]any, 0, 3*group)
	for begun := time.Now(); r.elapsed < limitSpan; r.elapsed = time.Since(begun) {
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return rate{}, err
		}
		for range batch / group {
			args = args[:0]
			for range group {
				block, turn := r.rows/(limitRuns*limitLength), r.rows%(limitRuns*limitLength)
				args = append(args, block*limitRuns+turn%limitRuns, turn/limitRuns, data)
				r.rows++
			}
			if _, err := insert.ExecContext(ctx, args...); err != nil {
				return rate{}, err
			}
		}
		if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
			return rate{}, err
		}
	}
	return r, nil
}
