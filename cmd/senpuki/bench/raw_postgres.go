// The raw driver of PostgreSQL.

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend/postgres"
)

// rawPostgres is one connection with one statement, which the driver prepares unless a pooler is between: a transaction is one round trip.
type rawPostgres struct {
	conn          *pgx.Conn
	schema, write string
}

// PostgresCounters reads what the server has counted for such a database.
func PostgresCounters(ctx context.Context, raw string) (c Counters, err error) {
	conn, schema, err := postgres.Connect(ctx, raw)
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
	conn, _, err := postgres.Connect(ctx, raw)
	if err != nil {
		return nil, err
	}
	r := &rawPostgres{conn: conn, schema: fmt.Sprintf("senpuki_limit_%d", os.Getpid())}
	r.write = "INSERT INTO " + r.schema + `.journal (run, row, session, data)
		SELECT run, row, 1, data FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS t (run, row, data)`
	for _, statement := range []string{
		"DROP SCHEMA IF EXISTS " + r.schema + " CASCADE",
		"CREATE SCHEMA " + r.schema,
		"CREATE TABLE " + r.schema + ".journal (run bigint NOT NULL, row bigint NOT NULL, session bigint NOT NULL, data bytea, PRIMARY KEY (run, row))",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// DropPostgres removes a schema from the database that a URL names.
func DropPostgres(ctx context.Context, raw, schema string) error {
	conn, _, err := postgres.Connect(ctx, raw)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
	return errors.Join(err, conn.Close(ctx))
}

// Write sends every row's own bytes, as a journal has to.
func (r *rawPostgres) Write(ctx context.Context, runs, rows []int64, data [][]byte) error {
	_, err := r.conn.Exec(ctx, r.write, runs, rows, data)
	return err
}

func (r *rawPostgres) Close() error {
	ctx := context.Background()
	_, err := r.conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+r.schema+" CASCADE")
	return errors.Join(err, r.conn.Close(ctx))
}
