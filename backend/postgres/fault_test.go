// What the server, its administrator and the network do to us.

package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// held makes executions that a new session owns.
func held(t *testing.T, s *postgres.Store, ids ...string) (backend.SessionID, []backend.Turn) {
	t.Helper()
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d"}}, nil); err != nil {
		t.Fatal(err)
	}
	session, _, err := s.Open(t.Context(), backend.Session{})
	if err != nil {
		t.Fatal(err)
	}
	b := backend.Batch{Session: session}
	for _, id := range ids {
		b.Create = append(b.Create, backend.NewExecution{ID: id, Digest: "d", Edition: 1, Queue: "q", Claim: true})
	}
	reply, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var turns []backend.Turn
	for i, c := range reply.Created {
		turns = append(turns, backend.Turn{Execution: ids[i], Run: c.Run, Rows: [][]byte{[]byte("row")}})
	}
	return session, turns
}

func sound(t *testing.T, s *postgres.Store) {
	t.Helper()
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}

// Whenever a connection is cut, a turn has landed whole or not at all, and its
// journal says which.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	s := open(t, url)
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprint("x", i))
	}
	session, turns := held(t, s, ids...)
	stranger, schema := connect(t, url)
	var cutter sync.WaitGroup
	enough := make(chan struct{})
	cutter.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			// Whoever waits or works in this schema; which moment it is, is chance.
			if _, err := stranger.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN (
				SELECT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = $1)`, schema); err != nil {
				t.Error(err)
				return
			}
		}
	})
	cut := 0
	for round := 0; round < 2000 && cut < 20; round++ {
		_, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: turns})
		if err == nil {
			for i := range turns {
				turns[i].First++
			}
			continue
		}
		if !errors.Is(err, backend.ErrTransient) {
			t.Fatalf("round %d: %v", round, err)
		}
		cut++
		rows := make(map[int64]int)
		for i := range turns {
			var n int64
			for n = -1; n < 0; {
				count := int64(0)
				if err := s.Journal(t.Context(), turns[i].Run, 0, func(backend.Row) error { count++; return nil }); err == nil {
					n = count
				} else if !errors.Is(err, backend.ErrTransient) {
					t.Fatal(err)
				}
			}
			if n < turns[i].First {
				t.Fatalf("round %d: %d rows of %s are left of %d", round, n, turns[i].Execution, turns[i].First)
			}
			rows[n]++
			turns[i].First = n
		}
		if len(rows) != 1 {
			t.Fatalf("round %d: a batch landed in part: %v", round, rows)
		}
	}
	close(enough)
	cutter.Wait()
	t.Logf("%d connections were cut at %d rows", cut, turns[0].First)
	if cut == 0 {
		t.Error("no connection was cut")
	}
	sound(t, s)
}

// An administrator's statement_timeout and lock_timeout make us try again, no more.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	open(t, url)
	stranger, _ := connect(t, url)
	for _, option := range []string{"statement_timeout", "lock_timeout"} {
		s := open(t, with(url, option, "50"))
		session, turns := held(t, s, option)
		tx, err := stranger.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "LOCK TABLE journal IN EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		b := backend.Batch{Session: session, Turns: turns}
		if _, err := s.Commit(t.Context(), b); !errors.Is(err, backend.ErrTransient) {
			t.Errorf("%s: error is %v", option, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Errorf("%s: afterwards: %v", option, err)
		}
		sound(t, s)
	}
}

// A commit that waits for too long behind somebody's lock says that no answer has come, and may be repeated.
func TestCommitBehindALock(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	s := open(t, url)
	stranger, schema := connect(t, url)
	session, turns := held(t, s, "plain", "whole")
	turns[1].Then, turns[1].State = backend.Finish, backend.Completed
	for _, turn := range turns {
		tx, err := stranger.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "LOCK TABLE "+schema+".journal"); err != nil {
			t.Fatal(err)
		}
		b := backend.Batch{Session: session, Turns: []backend.Turn{turn}}
		s.Hurry(time.Minute, 50*time.Millisecond)
		_, err = s.Commit(t.Context(), b)
		if !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), "no answer") || strings.Contains(err.Error(), "context") {
			t.Errorf("%s: error is %v", turn.Execution, err)
		}
		s.Hurry(time.Minute, time.Minute)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), b); err != nil && !errors.Is(err, backend.ErrConflict) && !errors.Is(err, backend.ErrNotOwner) { // it may have landed
			t.Errorf("%s: afterwards: %v", turn.Execution, err)
		}
	}
	sound(t, s)
}

// A client that stopped in the middle of a transaction does not keep its
// session from being revoked.
func TestStoppedClient(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	s := open(t, url)
	session, turns := held(t, s, "x")
	stopped, _ := connect(t, with(url, "idle_in_transaction_session_timeout", "200"))
	if _, err := stopped.Exec(t.Context(), fmt.Sprintf("BEGIN; SELECT 1 FROM session WHERE id = %d FOR KEY SHARE", session)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Beat(t.Context(), session, nil); err != nil { // does not wait for it
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: turns}); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), session); err != nil { // waits for it
		t.Fatal(err)
	}
	if _, err := stopped.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the stopped client committed after all")
	}
	sound(t, s)
}

// Every transaction of ours carries the setting that ends a stopped client's.
func TestSettings(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	for _, at := range []string{url, with(url, "pooler", "transaction")} {
		for _, name := range []string{"idle_in_transaction_session_timeout", "search_path"} {
			var value string
			if err := open(t, at).Inspect(t.Context(), name, &value); err != nil || value == "0" || value == "" {
				t.Errorf("%s is %q, %v", name, value, err)
			}
		}
	}
}

// TestReclaim finishes a revocation whose process died after its first transaction.
func TestReclaim(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	s := open(t, url)
	held(t, s, "x")
	stranger, _ := connect(t, url)
	if _, err := stranger.Exec(t.Context(), "DELETE FROM session"); err != nil {
		t.Fatal(err)
	}
	if len(s.Check(t.Context())) == 0 {
		t.Error("Check does not see an owner without a session")
	}
	if err := s.Revoke(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	x, err := s.Execution(t.Context(), "x")
	if err != nil || x.Owner != 0 || x.Due.IsZero() {
		t.Errorf("owner %d, due %v, %v", x.Owner, x.Due, err)
	}
	sound(t, s)
}

// What PostgreSQL does not take as text lands all the same, and does not keep others from landing.
func TestBadText(t *testing.T) {
	t.Parallel()
	s := open(t, servertest.Postgres(t))
	session, turns := held(t, s, "x", "y")
	turns[0].Logs = []backend.LogLine{{Message: "a\x00b\xff", Step: "\x00", Fields: []byte("\xff")}}
	turns[0].Published, turns[0].Tasks = []byte("\x00"), []backend.Task{{Step: "1", Activity: "\x00", Tags: []string{`a"\,{}`, "\xff"}}}
	turns[0].Dead = []backend.DeadLetter{{Step: "\x00", Failure: []byte("\x00"), Input: []byte("\x00\xff")}}
	reply, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: turns, Send: []backend.Message{
		{Execution: "x\x00", Name: "n"}, {Execution: "x", Kind: backend.Signal, Name: "\xff\x00", Payload: []byte("\xff\x00")}}})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(reply.Sent[0], backend.ErrNotFound) || reply.Sent[1] != nil {
		t.Errorf("sent: %v", reply.Sent)
	}
	lines, err := s.Logs(t.Context(), turns[0].Run, 0, 0)
	if err != nil || lines[0].Message != "a\uFFFDb\uFFFD" {
		t.Errorf("line is %v, %v", lines, err)
	}
	tasks, err := s.Tasks(t.Context(), backend.TaskFilter{})
	if err != nil || len(tasks) != 1 || tasks[0].Tags[0] != `a"\,{}` {
		t.Errorf("tasks are %v, %v", tasks, err)
	}
	inbox, err := s.Receive(t.Context(), session)
	if err != nil || len(inbox) != 1 || string(inbox[0].Payload) != "\xff\x00" {
		t.Errorf("inbox is %v, %v", inbox, err)
	}
	sound(t, s)
}

// After a fail-over nothing of a session lands any more, for the server may lack what the session has written.
func TestPromoted(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"direct", "pooler"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, servertest.Postgres(t)+map[string]string{"pooler": "&pooler=transaction"}[way])
			session, turns := held(t, s, "a", "b")
			land := func(n ...backend.Turn) error {
				_, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: n})
				return err
			}
			s.Forget(t.Context()) // they ask again
			if err := land(turns[0]); err != nil {
				t.Fatal(err)
			}
			if line := s.Elsewhere(session); line == "" || line == nil {
				t.Fatalf("the session was opened on timeline %q", line)
			}
			turns[0].First = 1
			end := turns[1]
			end.Then = backend.Finish
			end.State = backend.Completed
			for what, err := range map[string]error{"plain": land(turns[0]), "finish": land(end), "both": land(turns...)} {
				if !errors.Is(err, backend.ErrFenced) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := s.Beat(t.Context(), session, nil); !errors.Is(err, backend.ErrFenced) {
				t.Error("beat:", err)
			}
			if err := s.Revoke(t.Context(), session); err != nil {
				t.Error(err)
			}
			x, err := s.Execution(t.Context(), "b")
			if err != nil || x.State != backend.Running || x.Owner != 0 {
				t.Errorf("%+v %v", x, err)
			}
			sound(t, s)
		})
	}
}

// Whether an idle connection is alive is asked with the patience of who wants it, which a worker's loop and its heartbeat have
// no end of; a firewall that has forgotten the connection answers never.
func TestIdleConnectionsThatSayNothingAreLeft(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]time.Duration{
		"postgres://me@h/d":                       2 * time.Second,
		"postgres://me@h/d?pooler=transaction":    2 * time.Second,
		"postgres://me@h/d?pool_ping_timeout=10s": 10 * time.Second,
	} {
		if got, err := postgres.Pong(url); err != nil || got != want {
			t.Errorf("%s: %v, %v", url, got, err)
		}
	}
}
