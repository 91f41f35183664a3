// What Examine looks at beside records and journals: inboxes, log lines, tasks, dead letters, shared results.

package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

const (
	examinedLines = 1000 // in a page
	examinedParts = 100  // each may have the size of a value
)

// examineInbox looks at the messages of one execution.
func (e *Engine) examineInbox(ctx context.Context, id string, tell func(problem string) error) error {
	messages, err := e.store.Inbox(ctx, id)
	if err != nil {
		return err
	}
	for i := range messages {
		m := &messages[i]
		if err := checkMessage(m); err != nil {
			if err := tell(fmt.Sprintf("message %d (%s %s): %s", m.ID, m.Kind, m.Name, backend.Unreadable("payload", err))); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkMessage says why the payload of a message is not what its kind and name have: a value, a failure, or any text.
func checkMessage(m *backend.Message) error {
	if m.Payload == nil {
		return nil
	}
	switch m.Kind {
	case backend.Signal:
		return soundValue(m.Payload)
	case backend.Cancel, backend.Expire, backend.Upgrade:
		return nil
	case backend.Outcome, backend.Notice:
	default:
		return fmt.Errorf("of a message of unknown kind %q", m.Kind)
	}
	switch m.Name {
	case backend.TaskDone, string(backend.Completed), backend.Hit:
		return soundValue(m.Payload)
	case backend.TaskFailed, string(backend.Cancelled), string(backend.TimedOut): // TaskFailed is backend.Failed, too
		return json.Unmarshal(m.Payload, new(activities.Failure))
	}
	return nil
}

// soundValue fails when a text is no JSON, or no stored form of a value.
func soundValue(b []byte) error {
	if err := notJSON(b); err != nil {
		return err
	}
	return storedValue(b)
}

// examineLog looks at the log lines of one run.
func (e *Engine) examineLog(ctx context.Context, run backend.RunKey, tell func(problem string) error) error {
	for from := int64(0); ; {
		page, err := e.store.Logs(ctx, run, from, examinedLines)
		if err != nil {
			return err
		}
		for i := range page {
			l := &page[i]
			from = l.Ordinal + 1
			if l.Fields == nil {
				continue
			}
			if err := json.Unmarshal(l.Fields, new(map[string]json.RawMessage)); err != nil {
				if err := tell(fmt.Sprintf("log line %d: %s", l.Ordinal, backend.Unreadable("fields", err))); err != nil {
					return err
				}
			}
		}
		if len(page) < examinedLines {
			return nil
		}
	}
}

func (e *Engine) examineTasks(ctx context.Context, tell func(Problem) error) error {
	f := backend.TaskFilter{Limit: examinedParts}
	for {
		page, err := e.store.Tasks(ctx, f)
		if err != nil {
			return err
		}
		for i := range page {
			k := &page[i]
			f.After = k.Key
			if err := json.Unmarshal(k.Input, new(taskInput)); err != nil {
				k.Damaged("input", err)
			}
			if k.Damage == "" {
				continue
			}
			if err := tell(Problem{Execution: k.Execution, Problem: fmt.Sprintf("task %d: %s", k.Key, k.Damage)}); err != nil {
				return err
			}
		}
		if len(page) < f.Limit {
			return nil
		}
	}
}

func (e *Engine) examineLetters(ctx context.Context, tell func(Problem) error) error {
	f := backend.LetterFilter{Limit: examinedParts}
	for {
		page, err := e.Letters(ctx, f)
		if err != nil {
			return err
		}
		for i := range page {
			l := &page[i]
			f.Before = l.ID
			if l.Damage == "" {
				continue
			}
			if err := tell(Problem{Execution: l.Execution, Problem: fmt.Sprintf("dead letter %d: %s", l.ID, l.Damage)}); err != nil {
				return err
			}
		}
		if len(page) < f.Limit {
			return nil
		}
	}
}

func (e *Engine) examineMemos(ctx context.Context, tell func(Problem) error) error {
	f := backend.MemoFilter{Limit: examinedParts}
	for {
		page, err := e.store.Memos(ctx, f)
		if err != nil {
			return err
		}
		for i := range page {
			m := &page[i]
			f.BeforeAt, f.BeforeHash = m.Created, m.Hash
			if m.Result == nil { // reserved
				continue
			}
			if err := soundValue(m.Result); err != nil {
				what := fmt.Sprintf("shared result of %s, key %s: %s", m.Activity, m.Key, backend.Unreadable("result", err))
				if err := tell(Problem{Execution: m.Execution, Problem: what}); err != nil {
					return err
				}
			}
		}
		if len(page) < f.Limit {
			return nil
		}
	}
}
