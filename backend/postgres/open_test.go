// What may be opened, and what is refused in which words.

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// refused expects that a URL cannot be opened, with these words in the error and no password.
func refused(t *testing.T, url string, target error, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	s, err := postgres.Open(ctx, url)
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", url)
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error is %v, want %v", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error is %q, without %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "hun") {
		t.Errorf("the password is in %q", err)
	}
}

// with is a URL with an option more.
func with(at, key, value string) string {
	u, _ := url.Parse(at)
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String()
}

func TestRefusedURLs(t *testing.T) {
	t.Parallel()
	refused(t, "", nil, "postgres://")
	refused(t, "mysql://me:hunter2@host/d", nil, "postgres://")
	refused(t, "postgres://me:hun/ter2@host/d", nil, "%2F")
	refused(t, "postgres://me:hunter2@host:port/d", nil, "postgres://")
	refused(t, "postgres://me:hunter2@host/d?schema=", nil, "schema")
	refused(t, "postgres://me:hunter2@host/d?schema=a-b", nil, "a-z")
	refused(t, "postgres://me:hunter2@host/d?pooler=sometimes", nil, "sometimes", "transaction")
	refused(t, "postgres://me:hunter2@host/d?sslmode=perhaps", nil, "sslmode")
	refused(t, "postgres://me@host/d?password=hunter2&sslmode=perhaps", nil, "sslmode")
	refused(t, "postgres://me:hunter2@host/d?pool_max_conns=many", nil, "pool_max_conns")
}

// Options of the URL reach the server as they are written.
func TestOptions(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, _ := connect(t, base)
	open(t, base+"&application_name=one%20two%2Bthree+four&options=-c%20lock_timeout%3D4711%20-c%20work_mem%3D5MB")
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'one two+three+four'").Scan(&n); err != nil || n == 0 {
		t.Errorf("%d connections have the name, %v", n, err)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	refused(t, "postgres://me:hunter2@127.0.0.1:1/d", backend.ErrTransient, "connect", "127.0.0.1:1/d", "schema senpuki")
}

// answering is a server that answers every connection with one error; or lets it in, and then its first question.
func answering(t *testing.T, code, message string, letIn bool) (at string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			b := pgproto3.NewBackend(conn, conn)
			if _, err := b.ReceiveStartupMessage(); err == nil {
				if letIn {
					b.Send(&pgproto3.AuthenticationOk{})
					b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
					_ = b.Flush()
					_, _ = b.Receive()
				}
				b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message})
				_ = b.Flush()
			}
			conn.Close()
		}
	}()
	return "postgres://me:hunter2@" + l.Addr().String() + "/d?sslmode=disable", connections
}

func TestServerRefuses(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		code, message string
		passing       bool
		words         []string
		letIn         bool
	}{
		{"57P03", "the database system is starting up", true, []string{"starting up", "tried for"}, false},
		{"25006", "cannot execute CREATE SCHEMA in a read-only transaction", true, []string{"takes no writes", "target_session_attrs"}, false},
		{"53300", "sorry, too many clients already", true, []string{"too many clients"}, false},
		{"28P01", `password authentication failed for user "me" (hunter2)`, false, []string{"authentication failed", "check the user and the password", "xxxxx"}, false},
		{"3D000", `database "d" does not exist`, false, []string{"does not exist", "createdb"}, false},
		{"08P01", "unsupported startup parameter: search_path", false, []string{"pooler=transaction"}, false},
		{"08P01", "server login has been failing", true, []string{"server login has been failing"}, true}, // a pooler whose server is away
	} {
		at, connections := answering(t, k.code, k.message, k.letIn)
		var target error
		if k.passing {
			target = backend.ErrTransient
		}
		refused(t, at, target, append(k.words, "connect", "127.0.0.1")...)
		if n := connections.Load(); k.passing != (n > 1) {
			t.Errorf("%s: tried %d times", k.code, n)
		}
	}
}

// A server whose disk is full lets nobody in when it has to write down what its catalogue looks like.
func TestServerFull(t *testing.T) {
	t.Parallel()
	at, _ := answering(t, "XX000", "could not write init file", false)
	refused(t, at, backend.ErrFull, "connect", "could not write init file")
}

// A server without TLS is asked twice; only its second answer says what is wrong, unless TLS was insisted on.
func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	base := with(servertest.Postgres(t), "user", "nobody")
	_, err := postgres.Open(t.Context(), with(base, "sslmode", "prefer"))
	if err == nil || strings.Contains(err.Error(), "tls") || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("error is %v", err)
	}
	refused(t, with(base, "sslmode", "require"), backend.ErrTransient, "server refused TLS connection")
}

func TestNotOurs(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, schema := connect(t, base)
	exec := func(sql string) { t.Helper(); administer(t, conn, sql) }
	exec("CREATE SCHEMA " + schema)
	exec("CREATE TABLE theirs (x int)")
	refused(t, base, backend.ErrNotDatabase, schema, "?schema=")
	exec("DROP TABLE theirs")
	open(t, base) // an empty schema will do

	exec("INSERT INTO senpuki_migration VALUES (4711, 'later', now())")
	refused(t, base, backend.ErrNewerSchema, "4711", "up to 7", "migrate")
	exec("UPDATE senpuki_migration SET oldest = 8 WHERE version = 4711")
	refused(t, base, backend.ErrNewerSchema, "4711", "up to 7")

	exec("UPDATE senpuki_migration SET oldest = 7 WHERE version = 4711") // made by a release beside which this one works
	exec("ALTER TABLE execution ADD COLUMN of_the_next_release text")
	backendtest.Works(t, open(t, base))

	latin := schema + "_ascii"
	exec("CREATE DATABASE " + latin + " ENCODING 'SQL_ASCII' TEMPLATE template0")
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + latin
	refused(t, u.String(), nil, "SQL_ASCII", "UTF8")
	exec("DROP DATABASE " + latin + " WITH (FORCE)")
}

// Behind a pooler that keeps the schema's name to itself, and was not announced, statements would find whichever schema the role has.
func TestPoolerNotAnnounced(t *testing.T) {
	t.Parallel()
	base := servertest.Pooler(t)
	refused(t, with(base, "pooler", "none"), nil, "pooler=transaction")
	backendtest.Works(t, open(t, base))
}

// A role that may not make tables works on a schema that is up to date.
func TestModestRole(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, schema := connect(t, base)
	role := "role_" + schema
	if _, err := conn.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = conn.Exec(context.Background(), "DROP OWNED BY "+role)
		_, _ = conn.Exec(context.Background(), "DROP ROLE "+role)
	})
	refused(t, with(base, "user", role), nil, "permission denied for database", "GRANT CREATE ON DATABASE")
	open(t, base)
	refused(t, with(base, "user", role), nil, "permission denied for schema", "GRANT USAGE ON SCHEMA")
	for _, sql := range []string{
		"GRANT USAGE ON SCHEMA " + schema + " TO " + role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema + " TO " + role,
		"GRANT USAGE ON ALL SEQUENCES IN SCHEMA " + schema + " TO " + role,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, with(base, "user", role))
	if _, _, err := s.Open(t.Context(), backend.Session{}); err != nil {
		t.Error(err)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	s := open(t, url)
	id, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sessions(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed store reads: %v", err)
	}
	if err := s.Revoke(t.Context(), id); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed store writes: %v", err)
	}
	if err := s.Listen(t.Context(), func(backend.Hint) {}); err == nil {
		t.Error("a closed store listens")
	}
	list, err := open(t, url).Sessions(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != id {
		t.Errorf("sessions are %v, %v", list, err)
	}
}

// Many processes that open a new schema at once agree on who makes it, whatever isolation transactions have by default.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			url := with(servertest.Postgres(t), "default_transaction_isolation", isolation)
			done := make(chan error)
			for range 8 {
				go func() {
					s, err := postgres.Open(t.Context(), url)
					if err == nil {
						err = errors.Join(s.Check(t.Context())...)
						err = errors.Join(err, s.Close())
					}
					done <- err
				}()
			}
			for range 8 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A person is told once what is waited for, whether tries fail at once or have no answer at all.
func TestWaiting(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for _, k := range []struct{ at, database, why string }{
		{"postgres://me:hunter2@127.0.0.1:1/d", "127.0.0.1:1/d", "connect: database unavailable: connection refused"},
		{"postgres://me:hunter2@nothing.invalid/d", "nothing.invalid:5432/d", "is the name in the URL right?"},
		{"postgres://me:hunter2@" + silent.Addr().String() + "/d", silent.Addr().String(), ""},
	} {
		t.Run(k.database, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			var told []postgres.Waiting
			_, err := postgres.OpenWith(ctx, k.at, postgres.Options{Waiting: func(w postgres.Waiting) {
				told = append(told, w)
				if since := time.Since(began); since < 1900*time.Millisecond {
					t.Errorf("told after %v", since)
				}
			}})
			if !errors.Is(err, backend.ErrTransient) || strings.Count(err.Error(), "127.0.0.1") > 1 {
				t.Errorf("error is %v", err)
			}
			if len(told) != 1 {
				t.Fatalf("told %d times: %v", len(told), told)
			}
			w := told[0]
			if until, _ := ctx.Deadline(); !strings.Contains(w.Database, k.database) || !w.Until.Equal(until) {
				t.Errorf("waits for %s until %v", w.Database, w.Until)
			}
			if why := fmt.Sprint(w.Err); k.why == "" != (w.Err == nil) || !strings.Contains(why, k.why) || strings.Contains(why, "hun") {
				t.Errorf("it is told that %s", why)
			}
		})
	}
}

// That a database refuses something is told from one that is away.
func TestRefusalsAreNoOutage(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, schema := connect(t, base)
	role := "role_" + schema
	administer(t, conn, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		_, _ = conn.Exec(context.Background(), "DROP OWNED BY "+role)
		_, _ = conn.Exec(context.Background(), "DROP ROLE "+role)
	})
	owner := open(t, base)
	administer(t, conn, "GRANT USAGE ON SCHEMA "+schema+" TO "+role+"; GRANT SELECT ON ALL TABLES IN SCHEMA "+schema+" TO "+role)
	if _, _, err := open(t, with(base, "user", role)).Open(t.Context(), backend.Session{}); !errors.Is(err, backend.ErrRefused) || errors.Is(err, backend.ErrTransient) ||
		!strings.Contains(err.Error(), "permission denied for table session") {
		t.Errorf("a role that only looks: %v", err)
	}
	administer(t, conn, "DROP SCHEMA "+schema+" CASCADE")
	if _, err := owner.Sessions(t.Context()); !errors.Is(err, backend.ErrRefused) || !strings.Contains(err.Error(), "db migrate") {
		t.Errorf("without its schema: %v", err)
	}
}
