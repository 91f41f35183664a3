package cli

import (
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// A step that is held back since its process has died often says so, once its delay is over.
func TestShowOfAStepThatIsHeldBack(t *testing.T) {
	step := engine.Step{Step: "1", Kind: "activity", Name: "crush", State: "retrying", Due: time.Now().Add(-time.Minute)}
	step.Attempts = []engine.Attempt{{Outcome: "crashed"}, {Outcome: "failed"}, {Outcome: "crashed"}}
	later := step
	later.Due = time.Now().Add(time.Minute)
	h := engine.History{Steps: []engine.Step{step, later}}
	h.Execution.State, h.Execution.Owner = backend.Running, 1
	got := waitsFor(h, nil, nil)
	if len(got) != 2 || got[0].For != "the next attempt of crush (its process has died 2 times; those that can bear few more deaths run a few at a time)" ||
		got[1].For != "the next attempt of crush" {
		t.Errorf("%+v", got)
	}
}
