// Inboxes: how messages get there.

package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

// send queues the batch's messages.
func (c *committer) send() {
	c.reply.Sent = make([]error, len(c.b.Send))
	if len(c.b.Send) == 0 {
		return
	}
	put(c.tx, c.b.Send, func(i int, found error) { c.reply.Sent[i] = found })
}

// mail is messages that are to be stored, column by column.
type mail struct {
	ids, kinds, names, steps []string
	runs                     []int64
	attempts                 []int32
	payloads                 [][]byte
}

func (l *mail) add(m *backend.Message) {
	l.ids, l.kinds, l.names = append(l.ids, clean(m.Execution)), append(l.kinds, string(m.Kind)), append(l.names, clean(m.Name))
	l.runs, l.steps, l.attempts = append(l.runs, int64(m.Run)), append(l.steps, clean(m.Step)), append(l.attempts, small(m.Attempt))
	l.payloads = append(l.payloads, m.Payload)
}

// args are the arguments $1 to $7 of addressed.
func (l *mail) args() []any {
	return []any{l.ids, l.kinds, l.names, l.runs, l.steps, l.attempts, l.payloads}
}

const (
	// addressed locks those that messages are for. The rows are read as they are under the lock.
	addressed = `WITH message AS MATERIALIZED (
			SELECT m.*, x.key, x.state FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::bytea[])
				WITH ORDINALITY AS m (id, kind, name, run, step, attempt, payload, n)
			LEFT JOIN LATERAL (SELECT key, state FROM execution WHERE execution.key = (SELECT request.key FROM request WHERE request.id = m.id) FOR NO KEY UPDATE) AS x ON true),
		`
	// delivered stores the messages of those that have not ended.
	delivered = `INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
			SELECT key, kind, name, run, step, attempt, now(), payload FROM message WHERE state IN ('pending', 'running') ORDER BY n`
	// woken makes the addressees of messages due; not one that came to be behind the look for it, and has none.
	woken = `UPDATE execution SET due = now() WHERE key = ANY(ARRAY(SELECT key FROM request WHERE id = ANY($1::text[]))) AND owner = 0 AND state IN ('pending', 'running') AND (due IS NULL OR due > now())
			AND (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE inbox.execution = execution.key LIMIT 1) AS message) > 0`
)

// put queues messages for any executions, which it locks, and wakes them. found
// is told what each of them met, nil when it is in the inbox.
func put(t *tx, messages []backend.Message, found func(i int, err error)) {
	var l mail
	for i := range messages {
		l.add(&messages[i])
	}
	if len(messages) > 1 { // in key order
		t.add("SELECT count(*) FROM (SELECT 1 FROM execution WHERE key = ANY(ARRAY(SELECT key FROM request WHERE id = ANY($1::text[]))) ORDER BY key FOR NO KEY UPDATE) AS held", l.ids)
	}
	// What has come since is locked here.
	t.add(addressed+"stored AS ("+delivered+") SELECT n, coalesce(state, '') FROM message", l.args()...).row = func(r pgx.Rows) error {
		var n int
		var state backend.State
		if err := r.Scan(&n, (*string)(&state)); err != nil {
			return err
		}
		switch {
		case state == "":
			found(n-1, backend.ErrNotFound)
		case state.Terminal():
			found(n-1, backend.ErrClosed)
		default:
			found(n-1, nil)
		}
		return nil
	}
	t.add(woken, l.ids).wakes = &t.woken
}

// leftover is how signals that were in inboxes, and are messages now, are kept for runs that go on, of executions whose keys are an
// array, which may be NULL.
func leftover(keys string) string {
	return `INSERT INTO unread (execution, id, kind, name, run, step, attempt, sent, payload)
		SELECT execution, id, kind, name, run, step, attempt, sent, payload FROM messages WHERE kind = 'signal' AND execution = ANY(` + keys + `)`
}

// refill queues that the signals which an execution has left are in its inbox again, behind what is there.
func (t *tx) refill(id string) {
	t.add(`WITH messages AS (DELETE FROM unread WHERE execution = (SELECT key FROM request WHERE id = $1::text) RETURNING *)
		INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
		SELECT execution, kind, name, run, step, attempt, sent, payload FROM messages ORDER BY id`, id)
}

// notice queues a finding for the inbox of an execution that is locked and has not ended. It does not wake it.
func (t *tx) notice(key int64, run backend.RunKey, step, name string) {
	t.add(`INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
		VALUES ($1::bigint, 'notice', $2::text, $3::bigint, $4::text, 0, now(), NULL)`, key, name, int64(run), clean(step))
}

// outcomes is how tasks that are gone become messages and wake their executions.
const outcomes = `stored AS (INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
			SELECT gone.execution, 'outcome', gone.name, gone.run, gone.step, gone.attempt, now(), gone.payload FROM gone
			CROSS JOIN LATERAL (SELECT state FROM execution WHERE execution.key = gone.execution OFFSET 0) AS x
			WHERE x.state IN ('pending', 'running') ORDER BY gone.n RETURNING execution),
		woken AS (UPDATE execution SET due = now() WHERE key = ANY(ARRAY(SELECT execution FROM stored)) AND owner = 0 AND (due IS NULL OR due > now()) RETURNING 1)`
