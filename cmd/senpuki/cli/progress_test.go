package cli

import (
	"strings"
	"testing"

	"github.com/senpuki/senpuki/engine"
)

// The last line counts the steps that were seen, and says when there were others: the time is that of all.
func TestTheLastLineSaysWhoseStepsItCounts(t *testing.T) {
	t.Parallel()
	step := []engine.Event{{Kind: engine.StepAsked, Execution: "x", Step: "1", Name: "add"}, {Kind: engine.StepDone, Execution: "x", Step: "1", Name: "add"}}
	child := []engine.Event{{Kind: engine.ExecutionStarted, Execution: "x/2"}, {Kind: engine.StepDone, Execution: "x/2", Step: "1", Name: "add"}}
	for _, c := range []struct {
		name   string
		events []engine.Event
		want   string
	}{
		{"begun here", append([]engine.Event{{Kind: engine.ExecutionStarted, Execution: "x"}}, step...), ", 1 step"},
		{"released and taken again", append([]engine.Event{{Kind: engine.ExecutionStarted, Execution: "x"}, {Kind: engine.ExecutionResumed, Execution: "x"}}, step...), ", 1 step"},
		{"resumed", append([]engine.Event{{Kind: engine.ExecutionResumed, Execution: "x"}}, step...), ", 1 step here"},
		{"resumed, with a child", append(append([]engine.Event{{Kind: engine.ExecutionResumed, Execution: "x"}}, step...), child...), ", 2 steps here"},
		{"resumed at its end", []engine.Event{{Kind: engine.ExecutionResumed, Execution: "x"}}, ""},
	} {
		var out strings.Builder
		p := newProgress(&out, false, false)
		p.begin(engine.Execution{ID: "x", Workflow: "w"}, "hint")
		for _, ev := range c.events {
			p.Observe(ev)
		}
		p.finish("x completed in 1s")
		if text := out.String(); !strings.HasSuffix(text, "\nx completed in 1s"+c.want+"\n") {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}
