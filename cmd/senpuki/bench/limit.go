// The workload limit: journal rows written by the raw driver, the yardstick of all others.

package bench

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
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

// measureLimit writes journal rows to a scratch file in dir, so many a transaction. The table and the order of the
// keys are those of the journal under throughput.
func measureLimit(ctx context.Context, dir, synchronous string, batch int) (r rate, err error) {
	scratch, err := os.MkdirTemp(dir, ".senpuki-limit-*")
	if err != nil {
		return rate{}, fmt.Errorf("limit: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	settle()
	if r, err = writeRows(ctx, filepath.Join(scratch, "limit.db"), synchronous, batch); err != nil {
		return rate{}, fmt.Errorf("limit/%d: %w", batch, err)
	}
	return r, nil
}

// writeRows uses the driver itself: database/sql would take its share of a small transaction.
func writeRows(ctx context.Context, path, synchronous string, batch int) (_ rate, err error) {
	conn, err := (&sqlite.Driver{}).Open("file:" + filepath.ToSlash(path))
	if err != nil {
		return rate{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, statement := range []string{
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = " + synchronous,
		"PRAGMA cache_size = -65536",
		`CREATE TABLE journal (run INTEGER NOT NULL, row INTEGER NOT NULL, session INTEGER NOT NULL, data BLOB,
			PRIMARY KEY (run, row)) STRICT, WITHOUT ROWID`,
	} {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			return rate{}, err
		}
	}
	group := min(batch, limitStatement)
	statements, err := prepare(conn, "BEGIN IMMEDIATE", "INSERT INTO journal (run, row, session, data) VALUES "+
		strings.Repeat("(?, ?, 1, ?), ", group-1)+"(?, ?, 1, ?)", "COMMIT")
	if err != nil {
		return rate{}, err
	}
	begin, insert, commit := statements[0], statements[1], statements[2]
	data := make([]byte, limitRow)
	args := make([]driver.NamedValue, 3*group)
	r := rate{batch: batch}
	for begun := time.Now(); r.elapsed < limitSpan; r.elapsed = time.Since(begun) {
		if _, err := begin.ExecContext(ctx, nil); err != nil {
			return rate{}, err
		}
		for range batch / group {
			for i := range group {
				block, turn := r.rows/(limitRuns*limitLength), r.rows%(limitRuns*limitLength)
				for j, v := range []driver.Value{int64(block*limitRuns + turn%limitRuns), int64(turn / limitRuns), data} {
					args[3*i+j] = driver.NamedValue{Ordinal: 3*i + j + 1, Value: v}
				}
				r.rows++
			}
			if _, err := insert.ExecContext(ctx, args); err != nil {
				return rate{}, err
			}
		}
		if _, err := commit.ExecContext(ctx, nil); err != nil {
			return rate{}, err
		}
	}
	for _, s := range statements {
		err = errors.Join(err, s.(driver.Stmt).Close())
	}
	return r, err
}

// prepare prepares statements once for all.
func prepare(conn driver.Conn, texts ...string) ([]driver.StmtExecContext, error) {
	var all []driver.StmtExecContext
	for _, text := range texts {
		s, err := conn.Prepare(text)
		if err != nil {
			return nil, err
		}
		exec, ok := s.(driver.StmtExecContext)
		if !ok {
			return nil, fmt.Errorf("the driver's statement is a %T", s)
		}
		all = append(all, exec)
	}
	return all, nil
}
