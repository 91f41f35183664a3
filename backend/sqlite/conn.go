// One connection with its kept statements, below database/sql.

package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/senpuki/senpuki/backend"
)

// busyTimeout is a safety net against programs that know nothing of the
// turnstile, such as a shell someone left in a transaction.
const busyTimeout = 10 * time.Second

// conn is a driver connection. It is not safe for concurrent use. Going below
// database/sql saves more than half of the time of a plain turn.
type conn struct {
	driver driver.Conn
	kept   map[string]statement
	args   []driver.NamedValue
	round  int64    // of the stand in which it was opened
	woken  bool     // a message has made an execution due that nobody owns; set by post, for who asks
	told   []string // executions that were told of an end; set by finish, likewise
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connect opens a connection and runs pragmas on it.
func connect(path string, pragmas ...string) (*conn, error) { return connectURI(uri(path), pragmas...) }

func connectURI(uri string, pragmas ...string) (*conn, error) {
	d, err := (&sqlite.Driver{}).Open(uri)
	if err != nil {
		return nil, err
	}
	c := &conn{driver: d, kept: make(map[string]statement)}
	pragmas = append([]string{fmt.Sprintf("busy_timeout=%d", busyTimeout.Milliseconds())}, pragmas...)
	for _, p := range pragmas {
		if err := c.script("PRAGMA " + p); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return c, nil
}

// uri is path in the driver's notation, whatever characters it has.
func uri(path string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}

// script runs statements once without keeping them.
func (c *conn) script(sql string) error {
	_, err := c.driver.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
	return err
}

func (c *conn) prepare(sql string) (statement, error) {
	if s, ok := c.kept[sql]; ok {
		return s, nil
	}
	p, err := c.driver.Prepare(sql)
	if err != nil {
		return nil, err
	}
	s, ok := p.(statement)
	if !ok {
		return nil, fmt.Errorf("sqlite driver: unexpected statement %T", p)
	}
	c.kept[sql] = s
	return s, nil
}

// A statement says LIMIT +?: by the value of a bare parameter there SQLite chooses its plan, and
// prepares the statement again for every other value.

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(sql string, args ...any) (int64, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query calls row for every row of the answer. The slice is reused.
func (c *conn) query(ctx context.Context, row func([]driver.Value) error, sql string, args ...any) (err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case err == io.EOF: //nolint:errorlint // drivers return it bare
			return nil
		case err != nil:
			return err
		}
		if err := row(values); err != nil {
			return err
		}
	}
}

// first returns a copy of the first row, or nil when there is none.
func (c *conn) first(ctx context.Context, sql string, args ...any) (found []driver.Value, err error) {
	err = c.query(ctx, func(v []driver.Value) error {
		if found == nil {
			found = append(found, v...)
		}
		return nil
	}, sql, args...)
	return found, err
}

// all returns copies of all rows.
func (c *conn) all(ctx context.Context, sql string, args ...any) (rows [][]driver.Value, err error) {
	err = c.query(ctx, func(v []driver.Value) error {
		rows = append(rows, slices.Clone(v))
		return nil
	}, sql, args...)
	return rows, err
}

func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value(a)})
	}
	return c.args
}

// value turns what the records are made of into what the driver takes.
func value(a any) driver.Value {
	switch a := a.(type) {
	case int:
		return int64(a)
	case backend.RunKey:
		return int64(a)
	case backend.SessionID:
		return int64(a)
	case backend.State:
		return string(a)
	case backend.MessageKind:
		return string(a)
	case time.Time: // zero: nothing
		if a.IsZero() {
			return nil
		}
		return a.UnixMicro()
	}
	return a
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.driver.Close())...)
}

// text is JSON for a text column; nil stays nil.
func text(b []byte) any {
	if b == nil {
		return nil
	}
	return string(b)
}

func number(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func word(v driver.Value) string {
	s, _ := v.(string)
	return s
}

// bytes is a blob or a text; an empty one is not nil.
func bytes(v driver.Value) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case []byte:
		if v == nil {
			return []byte{}
		}
		return v
	}
	return nil
}

func instant(v driver.Value) time.Time {
	if v == nil {
		return time.Time{}
	}
	return time.UnixMicro(number(v)).UTC()
}

// list is a JSON array of words; nil stays nil.
func list(words []string) (driver.Value, error) {
	if words == nil {
		return nil, nil
	}
	b, err := json.Marshal(words)
	return string(b), err
}
