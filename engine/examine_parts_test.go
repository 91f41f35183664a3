package engine

import (
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// The payload of a message is judged by what it is of.
func TestCheckMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind          backend.MessageKind
		name, payload string
		sound         bool
	}{
		{backend.Signal, "go", `{"n":[1]}`, true},
		{backend.Signal, "go", `{"n"`, false},
		{backend.Cancel, "", "because", true},
		{backend.Upgrade, "", "4f53cda18c2baa0c", true},
		{backend.Outcome, backend.TaskDone, `1`, true},
		{backend.Outcome, backend.TaskDone, `{bad`, false},
		{backend.Outcome, string(backend.Completed), `{bad`, false},
		{backend.Outcome, backend.TaskFailed, `{"kind":"Bad"}`, true},
		{backend.Outcome, backend.TaskFailed, `[]`, false},
		{backend.Outcome, string(backend.TimedOut), `7`, false},
		{backend.Outcome, string(backend.Cancelled), `7`, false},
		{backend.Notice, backend.Hit, `7`, true},
		{backend.Notice, backend.Hit, `{bad`, false},
		{"wat", "", `7`, false},
	} {
		m := backend.Message{Kind: c.kind, Name: c.name, Payload: []byte(c.payload)}
		if err := checkMessage(&m); (err == nil) != c.sound {
			t.Errorf("%s %s %s: %v", c.kind, c.name, c.payload, err)
		}
	}
	if err := checkMessage(&backend.Message{Kind: backend.Expire}); err != nil {
		t.Error(err)
	}
}
