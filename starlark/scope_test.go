// How much a branch keeps of what it has started.

package starlark

import (
	"fmt"
	"testing"
	"time"
)

// counting is a host that ends every step at once, and looks at the scope of main.
type counting struct {
	s      *script
	steps  []string
	widest int
}

func (h *counting) Issue(c Command) error {
	h.steps = append(h.steps, c.Step)
	return nil
}

func (h *counting) Wait() (Delivery, error) {
	h.widest = max(h.widest, len(h.s.main.scope))
	d := Delivery{Kind: StepOutcome, Step: h.steps[0], Value: []byte("1")}
	h.steps = h.steps[1:]
	return d, nil
}

func (h *counting) Now() time.Time             { return time.Time{} }
func (h *counting) Log(Line)                   {}
func (h *counting) ChildID(step string) string { return step }
func (h *counting) Publish([]byte)             {}

// A loop may go on for a long time.
func TestALoopKeepsItsScopeSmall(t *testing.T) {
	t.Parallel()
	for _, start := range []string{
		"child.start()", "act.start()", "timer(1)", "spawn(act)", "spawn(child)", "child()", "act()", "sleep(1)", "execution(\"x\").result()",
	} {
		src := &Sources{Entry: "x.star", Files: []File{{Path: "x.star", Text: fmt.Sprintf(`
child = workflow("child")
act = activity("act")
def main():
    for _ in range(10000):
        f = %s
        if type(f) == "Future":
            f.result()
`, start)}}}
		p, err := Compile(src)
		if err != nil {
			t.Fatal(err)
		}
		h := &counting{}
		s := &script{host: h, prog: p, maxSteps: 1 << 40, maxValue: 1 << 20}
		h.s = s
		s.main = s.newBranch("", 0)
		s.main.got()
		fn, err := p.function("main")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.main.run(fn, nil, nil); err != nil {
			t.Fatal(err)
		}
		if h.widest > 200 {
			t.Errorf("%s: up to %d futures are in the scope", start, h.widest)
		}
	}
}
