// Inboxes: how messages get there.

package sqlite

import (
	"time"

	"github.com/senpuki/senpuki/backend"
)

// addressee is an execution that a message is for, as it stands.
type addressee struct {
	id              string
	key, owner, run int64
	due             time.Time
}

// look returns the execution that a condition names; refused says why it takes no message.
func look(c *conn, where string, arg any) (to addressee, refused, err error) {
	v, err := c.first(nonstop, "SELECT key, state, owner, due, run, id FROM execution WHERE "+where, arg)
	switch {
	case err != nil:
		return to, nil, err
	case v == nil:
		return to, backend.ErrNotFound, nil
	case backend.State(word(v[1])).Terminal():
		return to, backend.ErrClosed, nil
	}
	return addressee{id: word(v[5]), key: number(v[0]), owner: number(v[2]), due: instant(v[3]), run: number(v[4])}, nil, nil
}

// put puts a message into an inbox. An execution without an owner is to be made due as well; see post.
func put(c *conn, key int64, m *backend.Message, at time.Time) error {
	_, err := c.exec("INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		key, m.Kind, m.Name, m.Run, m.Step, m.Attempt, at, m.Payload)
	return err
}

// post puts a message into an inbox, and makes an execution without an owner due.
func post(c *conn, to addressee, m *backend.Message, at time.Time) error {
	if err := put(c, to.key, m, at); err != nil {
		return err
	}
	if to.owner != 0 || !to.due.IsZero() && !to.due.After(at) {
		return nil
	}
	c.woken = true
	_, err := c.exec("UPDATE execution SET due = ? WHERE key = ?", at, to.key)
	return err
}

// send sends a message to the execution that it names. refused says why it could not.
func send(c *conn, m *backend.Message, at time.Time) (refused, err error) {
	to, refused, err := look(c, "id = ?", m.Execution)
	if refused != nil || err != nil {
		return refused, err
	}
	return nil, post(c, to, m, at)
}

// tell sends a message to an execution, unless that has ended; then told is empty, else its id.
func tell(c *conn, key int64, m *backend.Message, at time.Time) (told string, err error) {
	to, refused, err := look(c, "key = ?", key)
	if refused != nil || err != nil {
		return "", err
	}
	return to.id, post(c, to, m, at)
}

// empty empties the inbox of an execution that has ended; unless it completed, its signals are kept for a run that goes on.
func empty(c *conn, key int64, end backend.State) error {
	if end != backend.Completed {
		if _, err := c.exec(`INSERT INTO unread (id, execution, kind, name, run, step, attempt, sent, payload)
			SELECT id, execution, kind, name, run, step, attempt, sent, payload FROM inbox WHERE execution = ? AND kind = 'signal'`, key); err != nil {
			return err
		}
	}
	_, err := c.exec("DELETE FROM inbox WHERE execution = ?", key)
	return err
}

// refill puts the signals that an execution has left into its inbox again, behind what is there.
func refill(c *conn, id string) error {
	if _, err := c.exec(`INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
		SELECT execution, kind, name, run, step, attempt, sent, payload FROM unread WHERE execution = (SELECT key FROM execution WHERE id = ?) ORDER BY id`, id); err != nil {
		return err
	}
	_, err := c.exec("DELETE FROM unread WHERE execution = (SELECT key FROM execution WHERE id = ?)", id)
	return err
}

// notice tells the execution whose turn lands of a finding; it is owned.
func notice(c *conn, key int64, run backend.RunKey, step, name string, at time.Time) error {
	return put(c, key, &backend.Message{Kind: backend.Notice, Name: name, Run: run, Step: step}, at)
}
