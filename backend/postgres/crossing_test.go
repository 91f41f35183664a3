// Many sessions that reach into each other's executions at once.

package postgres_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/servertest"
)

// crosser is a worker that does what nobody sane does.
type crosser struct {
	*testing.T
	backend.Store
	rand    *rand.Rand
	session backend.SessionID
	name    string
	owned   map[string]*backend.Turn // what its next turn begins with
	made    int
}

const crossingIDs = 12

func (c *crosser) any() string { return fmt.Sprint("x", c.rand.IntN(crossingIDs)) }

// turn is a random turn of an execution that is owned.
func (c *crosser) turn(t *backend.Turn, inbox []backend.Message) backend.Turn {
	turn := *t
	for range c.rand.IntN(3) {
		turn.Rows = append(turn.Rows, []byte("row"))
	}
	for _, m := range inbox {
		if m.Execution == turn.Execution && c.rand.IntN(4) > 0 {
			turn.Taken = append(turn.Taken, m.ID)
		}
	}
	hash := fmt.Sprint("h", c.rand.IntN(3))
	switch c.rand.IntN(8) {
	case 0:
		turn.Orders = []backend.Order{{Message: backend.Message{Execution: c.any(), Kind: backend.Signal, Name: "m"}, Answer: "1"}}
	case 1:
		turn.Watches = []backend.Watch{{Execution: c.any(), Step: "1"}}
	case 2:
		turn.Reserve = []backend.Reservation{{Step: hash, Hash: hash, Activity: "a"}}
	case 3:
		turn.Memos = []backend.MemoResult{{Step: hash, Hash: hash, Result: [][]byte{nil, []byte("1")}[c.rand.IntN(2)]}}
	case 4:
		c.made++
		turn.Tasks = []backend.Task{{Step: fmt.Sprint(c.name, c.made), Attempt: 1, Activity: "a", Queue: "q", Limit: &backend.Limit{Max: 5}}}
	case 5:
		turn.Published = []byte("1")
	}
	switch c.rand.IntN(10) {
	case 0, 1:
		turn.Then = backend.Release
	case 2:
		turn.Then, turn.State, turn.Result = backend.Finish, backend.Completed, []byte("1")
	case 3:
		turn.Then, turn.Rows, turn.Next = backend.Continue, nil, &backend.NextRun{Digest: "d", Edition: 1, Rows: [][]byte{[]byte("first")}}
	}
	return turn
}

// round takes what is free, and commits a turn for about half of what it owns.
func (c *crosser) round() error {
	claimed, err := c.Claim(c.Context(), backend.ClaimRequest{Session: c.session, Queues: []string{"q", "r"}, Editions: []int{1}, Limit: 3})
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	for _, x := range claimed {
		t := &backend.Turn{Execution: x.ID, Run: x.Run}
		if err := c.Journal(c.Context(), x.Run, 0, func(backend.Row) error { t.First++; return nil }); err != nil {
			return err
		}
		c.owned[x.ID] = t
	}
	tasks, err := c.ClaimTasks(c.Context(), backend.TaskRequest{Session: c.session, Queues: []string{"q"}, Activities: []string{"a"}, Limit: 3})
	if err != nil {
		return fmt.Errorf("claim tasks: %w", err)
	}
	inbox, err := c.Receive(c.Context(), c.session)
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	b := backend.Batch{Session: c.session}
	for i, k := range tasks.Tasks {
		if i == 0 {
			b.Back = append(b.Back, k.Key)
		} else {
			b.Settle = append(b.Settle, backend.Settled{Key: k.Key, Name: backend.TaskDone})
		}
	}
	for range c.rand.IntN(3) {
		b.Create = append(b.Create, backend.NewExecution{ID: c.any(), Digest: "d", Edition: 1, Queue: []string{"q", "r"}[c.rand.IntN(2)]})
		b.Send = append(b.Send, backend.Message{Execution: c.any(), Kind: backend.Signal, Name: "m"})
	}
	for _, t := range c.owned {
		if c.rand.IntN(2) == 0 {
			turn := c.turn(t, inbox)
			b.Turns = append(b.Turns, turn)
			if turn.Then == backend.Hold && c.rand.IntN(3) == 0 { // and one more of the same
				b.Turns = append(b.Turns, c.turn(&backend.Turn{Execution: t.Execution, Run: t.Run, First: t.First + int64(len(turn.Rows))}, nil))
			}
		}
	}
	reply, err := c.Commit(c.Context(), b)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for i := range b.Turns {
		t, r := &b.Turns[i], reply.Turns[i]
		switch {
		case t.Then == backend.Release && !r.Kept || t.Then == backend.Finish:
			delete(c.owned, t.Execution)
		case t.Then == backend.Continue:
			c.owned[t.Execution] = &backend.Turn{Execution: t.Execution, Run: r.Run, First: 1}
		default:
			c.owned[t.Execution].First += int64(len(t.Rows))
		}
	}
	return nil
}

// Whatever they do to each other's executions, nobody's commit fails, nothing
// is lost, and every invariant holds.
func TestCrossing(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	a, b := open(t, url), open(t, url)
	if _, err := a.Deploy(t.Context(), []backend.Program{{Digest: "d"}}, nil); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for n := range 6 {
		s := []backend.Store{a, b}[n%2]
		session, _, err := s.Open(t.Context(), backend.Session{})
		if err != nil {
			t.Fatal(err)
		}
		c := &crosser{T: t, Store: s, rand: rand.New(rand.NewPCG(seed, uint64(n))), session: session, name: fmt.Sprint(n), owned: map[string]*backend.Turn{}}
		all.Go(func() {
			for i := range 150 {
				if err := c.round(); err != nil {
					c.Errorf("round %d: %v", i, err)
					return
				}
				if c.rand.IntN(40) == 0 {
					if err := errors.Join(c.Revoke(t.Context(), c.session), c.again()); err != nil {
						c.Errorf("round %d: %v", i, err)
						return
					}
				}
				// What ended begins anew, or there is soon nothing left.
				if id := c.any(); c.rand.IntN(3) == 0 {
					x, err := c.Execution(t.Context(), id)
					if err == nil && x.State.Terminal() {
						err = c.Rerun(t.Context(), backend.Rerun{Execution: id, Run: x.Run, Digest: "d", Edition: 1})
					}
					if err != nil && !errors.Is(err, backend.ErrConflict) && !errors.Is(err, backend.ErrNotFound) {
						c.Errorf("rerun: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	for _, err := range a.Check(t.Context()) {
		t.Error(err)
	}
	stranger, _ := connect(t, url)
	var executions, memos, deadlocks int
	if err := stranger.QueryRow(t.Context(), `SELECT (SELECT max(run) FROM execution), (SELECT count(*) FROM memo),
		(SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())`).Scan(&executions, &memos, &deadlocks); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs, %d memos, %d deadlocks on this server", executions, memos, deadlocks)
}

// again begins a session after the last was revoked.
func (c *crosser) again() (err error) {
	c.owned = map[string]*backend.Turn{}
	c.session, _, err = c.Open(c.Context(), backend.Session{})
	return err
}

// What a turn is told about the one it sends to is what became of its message, also when that one is begun meanwhile.
func TestSendingToOneThatIsJustBegun(t *testing.T) {
	t.Parallel()
	url := servertest.Postgres(t)
	s, other := open(t, url), open(t, url)
	session, turns := held(t, s, "x")
	stranger, _ := connect(t, url)
	// Whoever has looked for an addressee stops before the message is stored.
	administer(t, stranger, `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext(current_schema())); RETURN NULL; END $$;
		CREATE TRIGGER wait BEFORE INSERT ON inbox FOR EACH STATEMENT EXECUTE FUNCTION wait();
		SELECT pg_advisory_lock(hashtext(current_schema()))`)
	turns[0].Orders = []backend.Order{{Message: backend.Message{Execution: "y", Kind: backend.Signal, Name: "m"}, Answer: "1"}}
	done := make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: turns})
		done <- err
	}()
	for waits := false; !waits; {
		if err := stranger.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND mode = 'ShareLock'
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	if _, err := other.Commit(t.Context(), backend.Batch{Create: []backend.NewExecution{{ID: "y", Digest: "d", Edition: 1, Queue: "q", Due: later}}}); err != nil {
		t.Fatal(err)
	}
	administer(t, stranger, "SELECT pg_advisory_unlock(hashtext(current_schema()))")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	told, err := s.Inbox(t.Context(), "x")
	if err != nil || len(told) != 1 {
		t.Fatal(told, err)
	}
	there, err := s.Inbox(t.Context(), "y")
	if err != nil || (told[0].Name == backend.Delivered) != (len(there) == 1) {
		t.Errorf("it was told %q, and %d messages are there; %v", told[0].Name, len(there), err)
	}
	if x, err := s.Execution(t.Context(), "y"); err != nil || len(there) == 0 && !x.Due.Equal(later) {
		t.Errorf("it is due at %v, not at %v; %v", x.Due, later, err)
	}
	sound(t, s)
}
