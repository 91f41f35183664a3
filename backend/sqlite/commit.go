// Commit: a batch whole or not at all.

package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// errApart says that turns which share statements did not all land. The batch is
// written again turn by turn, to find out which is the first that may not.
var errApart = errors.New("a batch did not land together")

// Commit writes a batch.
func (s *Store) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	var reply backend.Reply
	apart := false
	try := func(c *conn, at time.Time) error {
		reply = backend.Reply{Now: at}
		if done, err := s.commitOne(c, &b, &reply); done || err != nil {
			return err
		}
		return s.commit(c, &b, &reply, apart)
	}
	err := s.write(ctx, try)
	if errors.Is(err, errApart) {
		apart = true
		err = s.write(ctx, try)
	}
	if err != nil {
		return backend.Reply{}, err
	}
	return reply, nil
}

// commitOne lands a batch that is one plain turn of an execution that is known to be the session's, with one
// statement, which is its fence, too. It reports false when it has changed nothing.
func (s *Store) commitOne(c *conn, b *backend.Batch, reply *backend.Reply) (bool, error) {
	if len(b.Turns) != 1 || len(b.Create)+len(b.Send)+len(b.Settle)+len(b.Back) > 0 {
		return false, nil
	}
	t := &b.Turns[0]
	if !plain(t) || !s.known.follows(t) || !s.known.held(b.Session, t) {
		return false, nil
	}
	n, err := c.exec(`INSERT OR FAIL INTO journal (run, row, session, data)
		SELECT ?, ?, ?3, ? WHERE EXISTS (SELECT 1 FROM session WHERE id = ?3)`, t.Run, t.First, b.Session, t.Rows[0])
	if err != nil || n == 0 {
		if duplicate(err) {
			err = nil
		}
		return false, err
	}
	s.known.wrote(t.Run, t.First)
	reply.Turns = make([]backend.TurnReply, 1)
	return true, nil
}

func (s *Store) commit(c *conn, b *backend.Batch, reply *backend.Reply, apart bool) error {
	fenced := len(b.Turns) > 0 || len(b.Settle) > 0 || len(b.Back) > 0
	for i := range b.Create {
		fenced = fenced || b.Create[i].Claim
	}
	if err := demand(c, b.Create); err != nil {
		return err
	}
	if fenced {
		if err := fence(c, b.Session); err != nil {
			return err
		}
	}
	if len(b.Create) > 0 {
		created, err := create(c, b.Session, b.Create, reply.Now)
		if err != nil {
			return err
		}
		reply.Created = created
		for i := range created {
			if n := &b.Create[i]; n.Claim && created[i].Existing == nil {
				s.known.owns(created[i].Run, b.Session, n.ID)
				if n.First != nil {
					s.known.wrote(created[i].Run, 0)
				}
			}
		}
	}
	if len(b.Turns) > 0 {
		reply.Turns = make([]backend.TurnReply, len(b.Turns))
		if err := s.land(c, b, reply, apart); err != nil {
			return err
		}
	}
	for i := range b.Send {
		found, err := send(c, &b.Send[i], reply.Now)
		if err != nil {
			return err
		}
		reply.Sent = append(reply.Sent, found)
	}
	for i := range b.Settle {
		ok, err := settle(c, b.Session, &b.Settle[i], reply.Now)
		if err != nil {
			return err
		}
		reply.Settled = append(reply.Settled, ok)
	}
	return giveBack(c, b.Session, b.Back, reply.Now)
}

// fence fails when the session's row is gone.
func fence(c *conn, id backend.SessionID) error {
	v, err := c.first(nonstop, "SELECT 1 FROM session WHERE id = ?", id)
	if err == nil && v == nil {
		err = backend.ErrFenced
	}
	return err
}

// stored fails when a program is not there. Every transaction asks anew: another process may have collected it.
func stored(c *conn, digest string) error {
	v, err := c.first(nonstop, "SELECT 1 FROM program WHERE digest = ?", digest)
	if err == nil && v == nil {
		err = backend.ErrNoProgram
	}
	return err
}

// demand fails when a new execution's program is not there.
func demand(c *conn, list []backend.NewExecution) error {
	for i := range list {
		if i > 0 && list[i].Digest == list[i-1].Digest {
			continue
		}
		if err := stored(c, list[i].Digest); err != nil {
			return err
		}
	}
	return nil
}

// land writes the turns: the rows of plain ones many at once, the others one by one. Turns
// of different executions may land in any order, and those of one keep theirs.
func (s *Store) land(c *conn, b *backend.Batch, reply *backend.Reply, apart bool) error {
	if apart || len(b.Turns) < appendMany[len(appendMany)-1].turns {
		return s.landEach(c, b, reply, s.upTo(len(b.Turns)))
	}
	err := s.landGrouped(c, b, reply)
	if _, refused := errors.AsType[*backend.TurnError](err); refused {
		return errApart // it may not be the first
	}
	return err
}

// upTo is 0, 1, ... n-1.
func (s *Store) upTo(n int) []int {
	s.rest = s.rest[:0]
	for i := range n {
		s.rest = append(s.rest, i)
	}
	return s.rest
}

func (s *Store) landGrouped(c *conn, b *backend.Batch, reply *backend.Reply) error {
	held, group, rest := s.held[:0], s.group[:0], s.rest[:0]
	for i := range b.Turns {
		switch t := &b.Turns[i]; {
		case !single(t) || t.Then == backend.Release || !s.known.follows(t):
			rest = append(rest, i)
		case s.known.held(b.Session, t):
			held = append(held, i)
		default:
			group = append(group, i)
		}
	}
	s.held, s.group, s.rest = held, group, rest
	for _, statement := range appendHeld {
		var err error
		if held, err = s.landWith(c, b, reply, held, statement); err != nil {
			return err
		}
	}
	group = append(group, held...)
	for _, statement := range appendMany {
		var err error
		if group, err = s.landWith(c, b, reply, group, statement); err != nil {
			return err
		}
	}
	if err := s.landEach(c, b, reply, group); err != nil {
		return err
	}
	return s.landEach(c, b, reply, rest)
}

// landWith lands as many turns as fill the statement, and returns the others.
func (s *Store) landWith(c *conn, b *backend.Batch, reply *backend.Reply, turns []int, statement manyTurns) ([]int, error) {
	for ; len(turns) >= statement.turns; turns = turns[statement.turns:] {
		some := turns[:statement.turns]
		if err := s.appendTogether(c, b, some, statement); err != nil {
			return nil, err
		}
		if err := s.finishEach(c, b, some, reply.Now); err != nil {
			return nil, err
		}
	}
	return turns, nil
}

// finishEach ends the executions of those turns that finish, whose rows have landed.
func (s *Store) finishEach(c *conn, b *backend.Batch, turns []int, at time.Time) error {
	looked, quiet, alone := false, false, false
	for _, i := range turns {
		t := &b.Turns[i]
		if t.Then != backend.Finish {
			continue
		}
		delete(s.known, t.Run)
		if !looked {
			v, err := c.first(nonstop, `SELECT EXISTS (SELECT 1 FROM inbox) OR EXISTS (SELECT 1 FROM watch) OR EXISTS (SELECT 1 FROM task)
				OR EXISTS (SELECT 1 FROM memo_waiter) OR EXISTS (SELECT 1 FROM memo WHERE result IS NULL),
				EXISTS (SELECT 1 FROM execution WHERE parent <> '')`)
			if err != nil {
				return err
			}
			looked, quiet = true, number(v[0]) == 0
			alone = quiet && number(v[1]) == 0
		}
		if alone { // nobody waits for anybody: an UPDATE that returns nothing is cheaper
			if _, err := c.exec(`UPDATE execution SET state = ?, result = ?, failure = ?, finished = ?, owner = 0, due = NULL, stuck = NULL
				WHERE id = ?`, t.State, t.Result, text(t.Failure), at, t.Execution); err != nil {
				return err
			}
			continue
		}
		told, err := finish(c, t, at, quiet)
		if err != nil {
			return err
		}
		quiet = quiet && !told
	}
	return nil
}

// landEach lands turns one by one.
func (s *Store) landEach(c *conn, b *backend.Batch, reply *backend.Reply, turns []int) error {
	for _, i := range turns {
		r, err := s.landOne(c, b.Session, &b.Turns[i], reply.Now)
		if err != nil {
			return failed(i, err)
		}
		reply.Turns[i] = r
	}
	return nil
}

func (s *Store) landOne(c *conn, session backend.SessionID, t *backend.Turn, at time.Time) (r backend.TurnReply, err error) {
	if plain(t) {
		if ok, err := s.append1(c, session, t); ok || err != nil {
			return r, err
		}
	}
	return s.turnOf(c, session, t, at)
}

// manyTurns is a statement that lands the rows of a number of turns at once.
type manyTurns struct {
	turns int
	looks bool // at whose the executions are
	sql   string
}

// appendMany are the statements for many turns, the largest first, which look
// whether the executions are the session's; appendHeld those for turns of which that is known.
var (
	appendMany = []manyTurns{newManyTurns(32), newManyTurns(8)}
	appendHeld = []manyTurns{newHeldTurns(32), newHeldTurns(8)}
)

func newManyTurns(n int) manyTurns {
	return manyTurns{n, true, `INSERT OR FAIL INTO journal (run, row, session, data)
	SELECT x.run, v.column2, ?1, v.column3
	FROM (VALUES ` + strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", n), ", ") + `) AS v CROSS JOIN execution AS x ON x.id = v.column1
	WHERE x.owner = ?1 AND x.run = v.column4 AND x.state = 'running' AND x.stuck IS NULL`}
}

// newHeldTurns does without numbers on its parameters: the driver would look for the name of each.
func newHeldTurns(n int) manyTurns {
	return manyTurns{n, false, "INSERT OR FAIL INTO journal (run, row, session, data) VALUES " +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", n), ", ")}
}

// appendTogether lands turns with one statement. Without a savepoint: to keep
// copies of all pages for the case of a refusal costs more than to begin again.
func (s *Store) appendTogether(c *conn, b *backend.Batch, turns []int, statement manyTurns) error {
	args, session := s.args[:0], any(b.Session)
	if statement.looks {
		args = append(args, session)
	}
	for _, i := range turns {
		t := &b.Turns[i]
		if statement.looks {
			args = append(args, t.Execution, t.First, t.Rows[0], int64(t.Run))
		} else {
			args = append(args, int64(t.Run), t.First, session, t.Rows[0])
		}
	}
	s.args = args
	n, err := c.exec(statement.sql, args...)
	switch {
	case duplicate(err), err == nil && n != int64(statement.turns):
		return errApart
	case err != nil:
		return err
	}
	for _, i := range turns {
		s.known.wrote(b.Turns[i].Run, b.Turns[i].First)
	}
	return nil
}

// failed names the turn that may not land; faults are passed on.
func failed(i int, err error) error {
	if err == backend.ErrNotOwner || err == backend.ErrNoProgram { //nolint:errorlint // this file's own
		return &backend.TurnError{Index: i, Err: err}
	}
	return err
}

// plain reports whether a turn is one journal row and nothing else.
func plain(t *backend.Turn) bool { return single(t) && t.Then == backend.Hold }

// single reports whether all that a turn writes beside its end is one journal row.
func single(t *backend.Turn) bool {
	return len(t.Rows) == 1 && len(t.Taken) == 0 && len(t.Logs) == 0 && t.Published == nil && t.Stuck == nil && t.Digest == "" &&
		len(t.Children) == 0 && len(t.Orders) == 0 && len(t.Watches) == 0 && t.Then != backend.Continue &&
		len(t.Tasks) == 0 && len(t.Withdraw) == 0 && len(t.Reserve) == 0 && len(t.Memos) == 0 && len(t.Dead) == 0
}

// append1 lands a plain turn with a single statement, which is also its fence.
// It reports false when it did not: the turn may not land, or there is an
// earlier Stuck to clear. The statement reads only the execution: one that
// read the journal too would build a temporary table each time.
func (s *Store) append1(c *conn, session backend.SessionID, t *backend.Turn) (bool, error) {
	if !s.known.follows(t) {
		v, err := c.first(nonstop, "SELECT 1 FROM journal WHERE run = ? AND row = ?", t.Run, t.First-1)
		if err != nil || v == nil {
			return false, err
		}
	}
	n, err := c.exec(`INSERT OR FAIL INTO journal (run, row, session, data)
		SELECT run, ?1, ?2, ?3 FROM execution
		WHERE id = ?4 AND owner = ?2 AND run = ?5 AND state = 'running' AND stuck IS NULL`,
		t.First, session, t.Rows[0], t.Execution, t.Run)
	if duplicate(err) {
		return false, backend.ErrNotOwner
	}
	if err != nil || n == 0 {
		return false, err
	}
	s.known.wrote(t.Run, t.First)
	return true, nil
}

// turnOf lands any turn.
func (s *Store) turnOf(c *conn, session backend.SessionID, t *backend.Turn, at time.Time) (r backend.TurnReply, err error) {
	if t.Then != backend.Hold || t.Stuck != nil {
		s.known.leaves(t.Run)
	}
	v, err := c.first(nonstop, "SELECT key, owner, run, state, stuck IS NOT NULL FROM execution WHERE id = ?", t.Execution)
	if err != nil {
		return r, err
	}
	if v == nil || backend.SessionID(number(v[1])) != session || backend.RunKey(number(v[2])) != t.Run ||
		backend.State(word(v[3])).Terminal() || t.Then == backend.Continue && (t.Next == nil || len(t.Rows) > 0) {
		return r, backend.ErrNotOwner
	}
	key, stuck := number(v[0]), number(v[4]) != 0
	if err := s.appendRows(c, session, t); err != nil {
		return r, err
	}
	for i, id := range t.Taken {
		n, err := c.exec("DELETE FROM inbox WHERE id = ? AND execution = ?", id, key)
		if err != nil {
			return r, err
		}
		if n == 0 && !slices.Contains(t.Taken[:i], id) {
			return r, backend.ErrNotOwner
		}
	}
	if t.Digest != "" {
		if err := stored(c, t.Digest); err != nil {
			return r, err
		}
		if _, err := c.exec("UPDATE execution SET digest = ? WHERE key = ?", t.Digest, key); err != nil {
			return r, err
		}
	}
	if err := describe(c, key, t, stuck); err != nil {
		return r, err
	}
	if err := s.others(c, session, key, t, at); err != nil {
		return r, err
	}
	switch t.Then {
	case backend.Release:
		r.Kept, err = release(c, key, t)
	case backend.Finish:
		_, err = finish(c, t, at, false)
	case backend.Continue:
		r.Run, err = s.next(c, session, key, t, at)
	}
	return r, err
}

// appendRows writes a turn's journal rows.
func (s *Store) appendRows(c *conn, session backend.SessionID, t *backend.Turn) error {
	if len(t.Rows) == 0 {
		return nil
	}
	if r, ok := s.known[t.Run]; !ok || r.last < 0 || r.last != t.First-1 {
		v, err := c.first(nonstop, "SELECT row FROM journal WHERE run = ? ORDER BY row DESC LIMIT 1", t.Run)
		if err != nil {
			return err
		}
		next := int64(0)
		if v != nil {
			next = number(v[0]) + 1
		}
		if t.First != next {
			return backend.ErrNotOwner
		}
	}
	for i, data := range t.Rows {
		if _, err := c.exec("INSERT INTO journal (run, row, session, data) VALUES (?, ?, ?, ?)",
			t.Run, t.First+int64(i), session, data); err != nil {
			return err
		}
	}
	s.known.wrote(t.Run, t.First+int64(len(t.Rows))-1)
	return nil
}

// describe writes what a turn says about its execution: log lines, what it
// published, and whether it is stuck.
func describe(c *conn, key int64, t *backend.Turn, stuck bool) error {
	for i := range t.Logs {
		l := &t.Logs[i]
		_, err := c.exec("INSERT INTO log (run, ordinal, at, step, level, message, fields) VALUES (?, ?, ?, ?, ?, ?, ?)",
			t.Run, l.Ordinal, l.At.UnixMicro(), l.Step, l.Level, l.Message, text(l.Fields))
		if duplicate(err) {
			return backend.ErrNotOwner
		}
		if err != nil {
			return err
		}
	}
	if t.Published != nil {
		if _, err := c.exec("UPDATE execution SET published = ? WHERE key = ?", text(t.Published), key); err != nil {
			return err
		}
	}
	if t.Stuck == nil && (!stuck || len(t.Rows) == 0) {
		return nil
	}
	var words any
	if t.Stuck != nil {
		b, err := json.Marshal(t.Stuck)
		if err != nil {
			return err
		}
		words = string(b)
	}
	_, err := c.exec("UPDATE execution SET stuck = ? WHERE key = ?", words, key)
	return err
}

// release gives an execution up, unless there is a message for it.
func release(c *conn, key int64, t *backend.Turn) (kept bool, err error) {
	n, err := c.exec(`UPDATE execution SET owner = 0, due = ?2
		WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM inbox WHERE execution = ?1)`, key, t.Due)
	return n == 0, err
}

// create makes the executions that do not exist yet.
func create(c *conn, session backend.SessionID, list []backend.NewExecution, at time.Time) (created []backend.Created, err error) {
	// Run keys are taken from the sequence, which outlives deleted rows, and
	// an execution bears the key of its first run.
	v, err := c.first(nonstop, "SELECT seq FROM sqlite_sequence WHERE name = 'run'")
	if err != nil {
		return nil, err
	}
	last := int64(0)
	if v != nil {
		last = number(v[0])
	}
	for i := range list {
		n := &list[i]
		ok, err := insert(c, session, n, last+1, at)
		if err != nil {
			return nil, err
		}
		if ok {
			last++
			created = append(created, backend.Created{Run: backend.RunKey(last)})
			continue
		}
		x, err := read(nonstop, c, n.ID)
		if err != nil {
			return nil, err
		}
		created = append(created, backend.Created{Run: x.Run, Existing: &x})
	}
	return created, nil
}

func insert(c *conn, session backend.SessionID, n *backend.NewExecution, key int64, at time.Time) (bool, error) {
	tags, err := list(n.Tags)
	if err != nil {
		return false, err
	}
	state, owner, due, started := backend.Pending, backend.SessionID(0), n.Due, time.Time{}
	if due.IsZero() {
		due = at
	}
	if n.Claim {
		state, owner, due, started = backend.Running, session, time.Time{}, at
	}
	inserted, err := c.exec(`INSERT INTO execution (key, id, owner, run, state, due, queue, priority, edition, run_number,
			created, started, expires, workflow, digest, function, parent, parent_step, parent_run, depth, tags, extra, input)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		key, n.ID, owner, key, state, due, n.Queue, n.Priority, n.Edition,
		at, started, n.Expires, n.Workflow, n.Digest, n.Function, n.Parent, n.ParentStep, n.ParentRun, n.Depth, tags, text(n.Extra), text(n.Input))
	if err != nil || inserted == 0 {
		return false, err
	}
	_, err = c.exec("INSERT INTO run (key, execution, number, created) VALUES (?, ?, 1, ?)", key, key, at)
	if err == nil && n.Claim && n.First != nil {
		_, err = c.exec("INSERT INTO journal (run, row, session, data) VALUES (?, 0, ?, ?)", key, session, n.First)
	}
	return true, err
}

// list is a JSON array of words; nil stays nil.
func list(words []string) (driver.Value, error) {
	if words == nil {
		return nil, nil
	}
	b, err := json.Marshal(words)
	return string(b), err
}
