// Package postgres keeps executions in a schema of a PostgreSQL database, for
// any number of workers on any number of machines.
//
// # Types
//
// A [Store] is a pool of connections, and one that keeps none, for heartbeats that the first does not answer. A tx is a transaction on one of them that
// gathers statements and sends them together (conn.go). There is no state in
// memory that must be right: what a Store remembers (the last row that it wrote to
// a journal; which executions a session holds, and their keys) is a fact that stays true for as long
// as the session's fence holds, and saves a look.
//
// # Two rows
//
// An execution is a row of request, what it was asked to be, and one of execution, how it stands, under
// one key. PostgreSQL keeps a changed row as a new version, with an entry in every index of the table when any
// indexed column has changed; and a claim and an end change what the partial indexes are about. So the table that they
// change has no index but its key's and those of what is live, and ids, times and parents are indexed in the other,
// where next to nothing changes. Whoever locks an execution locks its row of execution, which holds
// all that may change while it lives: a statement that waited for the lock sees those columns anew, and the others' rows as they were.
// (Measured: one table took 49 us for a claim and 60 for an end where this takes 12 and 23.)
//
// # The way of a commit
//
// A batch is one transaction, and a batch of ordinary turns is one flush: BEGIN,
// the fence, one INSERT of all new executions, the locks, one INSERT of all
// journal rows, one of all log lines, one DELETE of all messages taken, one
// UPDATE of all that publish, one of all that finish, one of all that are released, the messages, COMMIT,
// all on their way before the first answer is back (together.go). That works
// because no statement needs the answer of an earlier one, and because whatever
// must not be raises in SQL, by dividing by zero: everything behind it in the
// flush, COMMIT included, is then skipped by the server. Turns that reach into
// other executions are landed one by one in the same transaction (turn.go), after one look at all that they have to know (ahead.go); a
// batch of which some part was refused is run again turn by turn, each sent by itself, to say which. Children of turns that go on are created together, in
// a second flush: which of them are there already is to be known, and told.
//
// Most batches ask for less. Rows of executions that are known to be the session's, behind rows that are
// known to be there, are three arrays and no look-up; where a batch has nothing else, the fence and the rows
// are one statement, which is the transaction (plain.go). Executions that end, have no parent and are known by key
// end in two statements (ends.go); when somebody turns out to watch one, the batch is run again the longer way. Two commits of a process
// may be in flight (Commits): their turns are of different executions, and of rows that both lock one waits for the other. A claim that
// goes with a batch is a look before COMMIT, which takes only what nobody has locked, and so waits for nobody (claim.go).
//
// # Who waits for whom
//
// The fence is FOR KEY SHARE on the session's row: heartbeats do not collide with
// it, Revoke's DELETE waits for it. Ownership leaves an execution only by a
// commit of its session or after that DELETE, and so the journal's INSERT need
// not lock the executions it reads: while the fence is held, nobody else can make
// them somebody else's. (A FOR KEY SHARE on them would not stop a claim, whose
// UPDATE changes no key, and a FOR SHARE writes to each row.) Two commits of one
// session that carry the same turn, after a lost reply, meet at the primary key
// of the journal, or at the UPDATE that ends the ownership.
//
// All else locks execution rows FOR NO KEY UPDATE, in key order, and in a
// statement of its own before those that look at inboxes (see "The instant of
// release" in package backend). Senders take the same lock rather than a shared
// one: two of them that both find the execution asleep would both hold the
// shared lock and wait for each other to wake it. After executions come memos, by
// hash, then tasks. What does not keep to that order (a waiter found late) may
// meet in a deadlock; the loser has written nothing and is run again.
//
// # Plans
//
// Tables grow from nothing to millions while a connection keeps the plan that it
// made for a statement, and of queues the statistics are wrong most of the time.
// So no plan is left to chance: rows are found by LATERAL look-ups or by arrays of
// keys, never by a join that could begin at the wrong end; full scans and hash joins
// are switched off where statements are about single executions, and each row that is looked at costs more than a page. What is
// listed, counted and checked is planned anew each time, in every way there is. (Measured: a join
// of 300 turns with a young table looked through all that a session owned for
// every turn, 150 us a turn instead of 10.)
//
// # Poolers
//
// With ?pooler=transaction nothing is kept in a server's session: no prepared
// statements, no search_path, no LISTEN; settings are made in each transaction.
// It costs planning, and a transaction around every read.
//
// # Other databases that speak the protocol
//
// The keys of what belongs to a run lead with it, or with the execution's key
// (journal, log, inbox, unread, watch, run by its index), and hot statements name theirs.
//
//   - Citus: distribute request and execution by key, and journal, log, inbox, unread, watch and
//     dead_letter by run or execution, co-located if the run's key were replaced by
//     (execution, number); program, workflow and session are reference tables, memo
//     and memo_waiter are distributed by hash, task by run. To change: the unique
//     index on request.id needs a table of its own (id -> key), for a unique index
//     must contain the distribution column; FOR NO KEY UPDATE in key order over
//     shards is not one snapshot, so that batches are to be split by shard.
//   - CockroachDB: sequences are slow and ranges are split by key, so keys would be
//     hash-sharded (USING HASH on request, execution, run, journal) or come from
//     unordered_unique_rowid(). FOR KEY SHARE is accepted; there are no advisory
//     locks (migrate, deploy and task limits would lock a row of a table made for
//     it), no LISTEN (polling), and READ COMMITTED is to be switched on, or 40001
//     is retried by the loop that retries deadlocks.
//   - YugabyteDB: PRIMARY KEY (run HASH, row ASC) on journal and log, (execution
//     HASH, id ASC) on inbox, hash on the other keys; partial indexes and SKIP
//     LOCKED work. Advisory locks and LISTEN depend on the release, sequences want
//     a large cache, and with it the order of message ids: inboxes would be ordered
//     by (sent, id).
//
// # Rejected
//
// A plpgsql function for a commit: one round trip too, but a second place where
// the logic lives, and one that two releases would share. COPY into the journal:
// it cannot check an owner. Leases and advisory locks as ownership: they do not
// outlive a connection, or outlive it too long.
package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/senpuki/senpuki/backend"
)

// Store is a schema of a PostgreSQL database.
type Store struct {
	pool     *pgxpool.Pool
	spare    *pgxpool.Pool // keeps no connection: for a heartbeat that is not answered on one of pool's
	late     time.Duration // after which that is so
	silence  time.Duration // after which a reader gives up, and who writes
	schema   string
	pooler   bool     // a pooler in transaction mode stands before the server
	settings string   // the statement that makes a transaction ours, behind a pooler
	secrets  []string // never in an error's words
	closed   atomic.Bool
	taken    atomic.Int64    // connections that are in use
	life     context.Context // ends with Close
	end      context.CancelFunc

	known  known
	lines  sync.Map // by session: the timeline it was opened on (line.go)
	opened sync.Map // by session: when it was opened

	cipher cipher
}

// Close waits for what is under way and closes all connections. For a server's farewell it does not wait long.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.end()
	closed := make(chan struct{})
	go func() {
		s.pool.Close()
		s.spare.Close()
		close(closed)
	}()
	for {
		select {
		case <-closed:
			return nil
		case <-time.After(pong):
			if s.taken.Load() == 0 {
				return nil // the driver ends the rest by itself
			}
		}
	}
}

// Deploy stores programs and deployments.
func (s *Store) Deploy(ctx context.Context, programs []backend.Program, deployments []backend.Deployment) (stored []backend.Deployment, err error) {
	err = s.transact(ctx, 0, func(t *tx) error {
		stored = make([]backend.Deployment, 0, len(deployments))
		if len(programs) > 0 {
			var digests []string
			var sources []*string
			for i := range programs {
				digests, sources = append(digests, clean(programs[i].Digest)), append(sources, text(programs[i].Sources))
			}
			// Not by the INSERT, which would lock what it need not change.
			t.add(`UPDATE program SET sources = ($2::text[])[array_position($1::text[], digest)]
				WHERE digest = ANY($1::text[]) AND sources IS DISTINCT FROM ($2::text[])[array_position($1::text[], digest)]`, digests, sources)
			t.add(`INSERT INTO program (digest, created, sources) SELECT digest, now(), sources
				FROM unnest($1::text[], $2::text[]) AS n (digest, sources) ORDER BY digest COLLATE "C" ON CONFLICT DO NOTHING`, digests, sources)
		}
		if len(deployments) > 0 { // one after the other: the versions of a workflow have no gaps
			t.add("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", "senpuki deploy "+s.schema)
		}
		if err := t.flush(); err != nil {
			return err
		}
		for _, d := range deployments {
			d, err := deploy(t, d)
			if err != nil {
				return err
			}
			stored = append(stored, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func deploy(t *tx, d backend.Deployment) (backend.Deployment, error) {
	var newest backend.Deployment
	d.Version, d.At = 1, t.at.UTC()
	if err := t.each(func(r pgx.Rows) (err error) {
		newest, err = deployment(r)
		return err
	}, "SELECT "+deploymentColumns+" FROM workflow WHERE name = $1 ORDER BY version DESC LIMIT 1", clean(d.Workflow)); err != nil {
		return d, err
	}
	if newest.Version > 0 {
		if newest.Digest == d.Digest { // whose program it keeps: to lock that would be something to write
			return newest, nil
		}
		d.Version = newest.Version + 1
	}
	ok, err := exist(t, []string{d.Digest})
	if err != nil {
		return d, err
	}
	if !ok {
		return d, backend.ErrNoProgram
	}
	t.add("INSERT INTO workflow (name, version, digest, by, note, at) VALUES ($1, $2, $3, $4, $5, now())",
		clean(d.Workflow), small(d.Version), d.Digest, clean(d.By), clean(d.Note))
	return d, t.flush()
}
