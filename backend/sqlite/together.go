// Many turns in few statements.

package sqlite

import (
	"errors"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

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
	var late map[backend.RunKey]bool // runs of turns in rest: what comes after these comes behind them
	for i := range b.Turns {
		switch t := &b.Turns[i]; {
		case !single(t) || t.Then == backend.Release || !s.known.follows(t) || late[t.Run]:
			if late == nil {
				late = make(map[backend.RunKey]bool)
			}
			late[t.Run] = true
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
