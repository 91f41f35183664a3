// The suite on PostgreSQL.

package postgres_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect is a stranger's connection to a store's schema.
func connect(t testing.TB, at string) (conn *pgx.Conn, schema string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	schema = q.Get("schema")
	q.Del("schema")
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	if conn, err = pgx.Connect(t.Context(), u.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, schema
}

// administer runs a statement, or several, on a stranger's connection.
func administer(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	servertest.Postgres(t)
	backendtest.Run(t, func(t *testing.T) backend.Store { return open(t, servertest.Postgres(t)) })
}

func TestPair(t *testing.T) {
	t.Parallel()
	servertest.Postgres(t)
	backendtest.RunPair(t, func(t *testing.T) (a, b backend.Store) {
		url := servertest.Postgres(t)
		return open(t, url), open(t, url)
	})
}

// The same with nothing that rests on a server's session.
func TestPoolerMode(t *testing.T) {
	t.Parallel()
	servertest.Postgres(t)
	backendtest.Run(t, func(t *testing.T) backend.Store {
		return open(t, with(servertest.Postgres(t), "pooler", "transaction"))
	})
}

// And with a pooler that gives each transaction whichever connection is free.
func TestPooler(t *testing.T) {
	t.Parallel()
	servertest.Pooler(t)
	backendtest.RunPair(t, func(t *testing.T) (a, b backend.Store) {
		url := servertest.Pooler(t)
		return open(t, url), open(t, url)
	})
}

func BenchmarkCommit(b *testing.B) {
	backendtest.BenchmarkCommit(b, func(b *testing.B) backend.Store { return open(b, servertest.Postgres(b)) })
}

func BenchmarkJournal(b *testing.B) {
	backendtest.BenchmarkJournal(b, func(b *testing.B) backend.Store { return open(b, servertest.Postgres(b)) })
}
