// The raw driver of PostgreSQL.

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

// rawPostgres is one connection with one prepared statement: a transaction is one round trip.
type rawPostgres struct {
	conn   *pgx.Conn
	schema string
}

// dial connects to the database that a URL of package postgres names, and says in which schema that is.
func dial(ctx context.Context, raw string) (conn *pgx.Conn, schema string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "", errors.New("not a URL") // the parser's words quote the password
	}
	options := u.Query()
	if schema = options.Get("schema"); schema == "" {
		schema = "senpuki"
	}
	options.Del("schema")
	options.Del("pooler")
	u.RawQuery = options.Encode()
	conn, err = pgx.Connect(ctx, u.String())
	return conn, schema, err
}

// PostgresCounters reads what the server has counted for such a database.
func PostgresCounters(ctx context.Context, raw string) (c Counters, err error) {
	conn, schema, err := dial(ctx, raw)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
		(SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_all_tables WHERE schemaname = $1)`, schema).Scan(&c.Commits, &c.Dead)
	return c, err
}

// RawPostgres writes to a schema of its own in the database that a URL of package postgres names.
func RawPostgres(ctx context.Context, raw string) (Raw, error) {
	conn, _, err := dial(ctx, raw)
	if err != nil {
		return nil, err
	}
	r := &rawPostgres{conn, fmt.Sprintf("senpuki_limit_%d", os.Getpid())}
	for _, statement := range []string{
		"DROP SCHEMA IF EXISTS " + r.schema + " CASCADE",
		"CREATE SCHEMA " + r.schema,
		"CREATE TABLE " + r.schema + ".journal (run bigint NOT NULL, row bigint NOT NULL, session bigint NOT NULL, data bytea, PRIMARY KEY (run, row))",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	_, err = conn.Prepare(ctx, "write", "INSERT INTO "+r.schema+`.journal (run, row, session, data)
		SELECT run, row, 1, data FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS t (run, row, data)`)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Write sends every row's own bytes, as a journal has to.
func (r *rawPostgres) Write(ctx context.Context, runs, rows []int64, data [][]byte) error {
	_, err := r.conn.Exec(ctx, "write", runs, rows, data)
	return err
}

func (r *rawPostgres) Close() error {
	ctx := context.Background()
	_, err := r.conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+r.schema+" CASCADE")
	return errors.Join(err, r.conn.Close(ctx))
}
