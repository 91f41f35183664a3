// The raw driver of SQLite.

package bench

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// sqliteStatement is how many rows one prepared statement inserts; more are not faster.
const sqliteStatement = 8

// rawSQLite uses the driver itself: database/sql would take its share of a small transaction.
type rawSQLite struct {
	dir                   string
	conn                  driver.Conn
	begin, insert, commit driver.StmtExecContext
	group                 int
	args                  []driver.NamedValue
}

// RawSQLite writes to a scratch file in dir; synchronous is FULL or NORMAL.
func RawSQLite(ctx context.Context, dir, synchronous string, batch int) (_ Raw, err error) {
	r := &rawSQLite{group: min(batch, sqliteStatement)}
	if r.dir, err = os.MkdirTemp(dir, ".senpuki-limit-*"); err != nil {
		return nil, err
	}
	if err := r.open(ctx, synchronous); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *rawSQLite) open(ctx context.Context, synchronous string) (err error) {
	if r.conn, err = (&sqlite.Driver{}).Open("file:" + filepath.ToSlash(filepath.Join(r.dir, "limit.db"))); err != nil {
		return err
	}
	for _, statement := range []string{
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = " + synchronous,
		"PRAGMA cache_size = -65536",
		`CREATE TABLE journal (run INTEGER NOT NULL, row INTEGER NOT NULL, session INTEGER NOT NULL, data BLOB,
			PRIMARY KEY (run, row)) STRICT, WITHOUT ROWID`,
	} {
		if _, err := r.conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			return err
		}
	}
	r.args = make([]driver.NamedValue, 3*r.group)
	for text, into := range map[string]*driver.StmtExecContext{
		"BEGIN IMMEDIATE": &r.begin,
		"COMMIT":          &r.commit,
		"INSERT INTO journal (run, row, session, data) VALUES " +
			strings.Repeat("(?, ?, 1, ?), ", r.group-1) + "(?, ?, 1, ?)": &r.insert,
	} {
		s, err := r.conn.Prepare(text)
		if err != nil {
			return err
		}
		exec, ok := s.(driver.StmtExecContext)
		if !ok {
			return fmt.Errorf("the driver's statement is a %T", s)
		}
		*into = exec
	}
	return nil
}

func (r *rawSQLite) Write(ctx context.Context, runs, rows []int64, data [][]byte) error {
	if _, err := r.begin.ExecContext(ctx, nil); err != nil {
		return err
	}
	for at := 0; at < len(runs); at += r.group {
		for i := range r.group {
			for j, v := range []driver.Value{runs[at+i], rows[at+i], data[at+i]} {
				r.args[3*i+j] = driver.NamedValue{Ordinal: 3*i + j + 1, Value: v}
			}
		}
		if _, err := r.insert.ExecContext(ctx, r.args); err != nil {
			return err
		}
	}
	_, err := r.commit.ExecContext(ctx, nil)
	return err
}

func (r *rawSQLite) Close() error {
	var err error
	for _, s := range []driver.StmtExecContext{r.begin, r.insert, r.commit} {
		if s != nil {
			err = errors.Join(err, s.(driver.Stmt).Close())
		}
	}
	if r.conn != nil {
		err = errors.Join(err, r.conn.Close())
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}
