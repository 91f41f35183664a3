// senpuki show: everything about one execution.

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// shownSteps is how many steps show prints without --all.
const shownSteps = 50

func (a *app) showCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "show ID [flags]",
		Short: "Show one execution: state, timing, input, result or error, steps",
		Example: `  senpuki show 0190ab
  senpuki show order-17 --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(),
		RunE:              func(c *cobra.Command, args []string) error { return a.show(c.Context(), args[0], all) },
	}
	c.Flags().BoolVar(&all, "all", false, "every step, not only the last ones")
	return c
}

// shownExecution is what show --json prints.
type shownExecution struct {
	engine.Execution
	Waiting  []waiting        `json:"waiting"`
	Steps    []engine.Step    `json:"steps"`
	Children []child          `json:"children"`          // the newest
	Logs     []engine.LogLine `json:"logs"`              // the last ones
	Tries    *engine.Tries    `json:"tries,omitempty"`   // when it is tried again as a whole
	Damaged  string           `json:"damaged,omitempty"` // the record's columns and the journal
}

// waiting is what an unfinished execution waits for.
type waiting struct {
	For   string    `json:"for"`
	Step  string    `json:"step,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Due   time.Time `json:"due,omitzero"`
}

func (a *app) show(ctx context.Context, prefix string, all bool) error {
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		h, err := eng.History(ctx, x.ID)
		if err != nil {
			return err
		}
		live, err := offers(ctx, eng)
		if err != nil {
			return err
		}
		missing, err := unoffered(ctx, eng, store, h, live)
		if err != nil {
			return err
		}
		for i := range h.Steps {
			if s := &h.Steps[i]; missing[s.Step] != "" && s.State == "running" { // a task, and nobody has begun it
				s.State, s.Attempts = "waiting", s.Attempts[:max(0, len(s.Attempts)-1)]
			}
		}
		doc := shownExecution{Execution: h.Execution, Waiting: waitsFor(h, missing, live), Steps: h.Steps, Tries: h.Tries, Damaged: h.Execution.Damaged}
		if h.Damaged != "" {
			doc.Damaged = strings.TrimPrefix(doc.Damaged+"; "+h.Damaged, "; ")
		}
		if doc.Children, err = childrenOf(ctx, eng, h.Steps); err != nil {
			return err
		}
		if doc.Logs, err = eng.Logs(ctx, x.ID, engine.LogPosition{}); err != nil {
			return err
		}
		hidden := max(0, len(doc.Logs)-shownLines)
		doc.Logs = append([]engine.LogLine{}, doc.Logs[hidden:]...)
		if a.json {
			return a.printDocument(doc)
		}
		now := time.Now()
		a.showHead(doc, now)
		if doc.Failure != nil {
			fmt.Fprintln(a.out)
			writeFailure(a.out, doc.Failure)
			_, _ = io.WriteString(a.out, excerpt(ctx, store, doc.Digest, doc.Failure.Traceback))
		}
		if doc.Stuck != nil && !doc.State.Terminal() {
			_, _ = io.WriteString(a.out, excerpt(ctx, store, doc.Digest, doc.Stuck.Reason))
		}
		a.showSteps(doc.Steps, all, now)
		a.showChildren(doc.Children, now)
		if len(doc.Logs) > 0 {
			fmt.Fprintln(a.out)
		}
		if hidden > 0 {
			fmt.Fprintf(a.out, "%s before these; 'senpuki logs %s' shows them\n", count(hidden, "log line"), doc.ID)
		}
		for _, l := range doc.Logs {
			fmt.Fprintf(a.out, "%s %s\n", l.At.Local().Format(time.TimeOnly), logText(l))
		}
		return nil
	})
}

// facts prints what there is to say about an execution, one fact a line, which is cut to the width of a terminal.
type facts struct {
	out   *output
	width int
	tty   bool
	now   time.Time
}

func (f *facts) line(name, value string) {
	if value == "" {
		return
	}
	text := legible(fmt.Sprintf("%-10s %s", name, value))
	if f.tty {
		text = oneLine(text, f.width)
	}
	fmt.Fprintln(f.out, text)
}

func (f *facts) at(name string, t time.Time) {
	if !t.IsZero() {
		f.line(name, moment(t, f.now))
	}
}

// showHead prints the facts about an execution.
func (a *app) showHead(x shownExecution, now time.Time) {
	f := &facts{out: a.out, now: now}
	f.width, f.tty = terminal(a.out)
	state := stateText(x.Execution)
	if f.tty && a.color() {
		state = stateStyle(state)
	}
	fmt.Fprintf(a.out, "%-10s %s\n", "id", x.ID)
	f.line("workflow", fmt.Sprintf("%s (%.12s)", x.Workflow, x.Digest))
	if x.Function != "main" {
		f.line("function", x.Function)
	}
	fmt.Fprintf(a.out, "%-10s %s\n", "state", state)
	f.tries(&x)
	f.place(&x)
	f.at("created", x.Created)
	f.at("started", x.Started)
	if !x.Finished.IsZero() {
		f.line("finished", fmt.Sprintf("%s, took %s", moment(x.Finished, now), took(x.Execution, now)))
	}
	f.at("expires", x.Expires)
	f.line("input", string(x.Input))
	if x.State == backend.Completed {
		f.line("result", string(x.Result))
	}
	f.published(x.Shown)
	if x.Stuck != nil && !x.State.Terminal() {
		f.line("stuck", fmt.Sprintf("%s, since %s, %s", x.Stuck.Reason, moment(x.Stuck.Since, now), count(x.Stuck.Tries, "try")))
	}
	f.line("damaged", x.Damaged)
	f.waiting(x.Waiting)
}

// tries says which run this is, and which attempt of the execution as a whole.
func (f *facts) tries(x *shownExecution) {
	if x.Run > 1 {
		f.line("run", fmt.Sprint(x.Run))
	}
	t := x.Tries
	if t == nil {
		return
	}
	text := fmt.Sprintf("%d of %d", t.Attempt, t.Of)
	if t.Failure != nil {
		text += ", the one before failed: " + failureText(t.Failure)
	}
	f.line("attempt", text)
	if t.Due.After(f.now) {
		f.line("tries again", moment(t.Due, f.now))
	}
}

// place says where it runs and what it belongs to.
func (f *facts) place(x *shownExecution) {
	if x.Queue != "default" {
		f.line("queue", x.Queue)
	}
	if x.Priority != 0 {
		f.line("priority", fmt.Sprint(x.Priority))
	}
	f.line("tags", strings.Join(x.Tags, ", "))
	f.line("parent", x.Parent)
}

func (f *facts) waiting(list []waiting) {
	for _, w := range list {
		text := w.For
		if w.Step != "" {
			text = fmt.Sprintf("step %s, %s", w.Step, text)
		}
		if !w.Since.IsZero() {
			text += ", for " + duration(f.now.Sub(w.Since).Truncate(time.Millisecond))
		}
		if !w.Due.IsZero() {
			text += ", due " + dueText(w.Due, f.now)
		}
		f.line("waits for", text)
	}
}

// published says what the script shows of itself.
func (f *facts) published(raw json.RawMessage) {
	var doc struct {
		Progress struct {
			Fraction *float64
			Message  string
		}
		Status          string
		State, Counters json.RawMessage
	}
	if len(raw) == 0 || json.Unmarshal(raw, &doc) != nil {
		return
	}
	text := doc.Progress.Message
	if fraction := doc.Progress.Fraction; fraction != nil {
		text = strings.TrimSpace(fmt.Sprintf("%.0f%% %s", *fraction*100, text))
	}
	f.line("progress", text)
	f.line("status", doc.Status)
	f.line("published", string(doc.State))
	f.line("counters", string(doc.Counters))
}

// shownParts is what a script shows of itself: how far it is, if it says so, and its message and status in a line.
func shownParts(raw json.RawMessage) (fraction *float64, text string) {
	var doc struct {
		Progress struct {
			Fraction *float64
			Message  string
		}
		Status string
	}
	if len(raw) == 0 || json.Unmarshal(raw, &doc) != nil {
		return nil, ""
	}
	return doc.Progress.Fraction, oneLine(strings.Trim(doc.Progress.Message+", "+doc.Status, ", "), 0)
}

// shownText is what a script shows of itself, in a line.
func shownText(raw json.RawMessage) string {
	fraction, text := shownParts(raw)
	if fraction == nil {
		return text
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f%% %s", *fraction*100, text))
}

// stepTitle is what a step is for.
func stepTitle(s *engine.Step) string {
	switch starlark.CommandKind(s.Kind) {
	case starlark.AwaitSignal:
		return "signal " + s.Name
	case starlark.SendSignal:
		return "send_signal " + s.Name
	case starlark.CancelOther:
		return "execution.cancel"
	case starlark.AwaitResult:
		return "execution.result"
	}
	return s.Name
}

func dueText(due, now time.Time) string {
	if left := due.Sub(now); left > 0 {
		return "in " + duration(left.Truncate(time.Millisecond))
	}
	return "now"
}

// mostWaiting is how many of the things that an execution waits for are told, the first ones.
const mostWaiting = 10

// waitsFor is what an unfinished execution waits for.
func waitsFor(h engine.History, missing map[string]string, live []engine.SessionInfo) []waiting {
	out := []waiting{}
	x := h.Execution
	if x.State.Terminal() {
		return out
	}
	due := !x.Due.IsZero() && !x.Due.After(time.Now())
	// Who runs one of their own takes nothing else; but until it is due, it may be that which they have let go.
	workers := slices.ContainsFunc(live, func(o engine.SessionInfo) bool { return !o.Hold })
	switch {
	case x.State == backend.Pending && x.Owner == 0 && x.Stuck == nil && x.Due.After(time.Now()):
		out = append(out, waiting{For: "its time to begin", Due: x.Due})
	case x.Owner == 0 && x.Edition > starlark.Edition:
		out = append(out, waiting{For: fmt.Sprintf("a worker of a release that knows edition %d of the language", x.Edition)})
	case x.Owner == 0 && workers && due:
		out = append(out, waiting{For: "a worker of queue " + x.Queue + " to take it"})
	case x.Owner == 0 && (len(live) == 0 || due || x.Stuck != nil):
		w := waiting{For: "somebody to drive it ('senpuki resume " + x.ID + "')"}
		if x.Stuck != nil {
			w.For, w.Due = "its next try", x.Due
		}
		out = append(out, w)
	}
	for _, s := range h.Steps {
		if len(out) == mostWaiting {
			break
		}
		w := waiting{Step: s.Step, Since: s.Asked}
		switch {
		case s.Kind == "wait_signal" && s.State == "waiting":
			w.For = "signal " + s.Name
		case s.Kind == "result" && s.State == "waiting":
			w.For = "the end of " + s.Target
		case s.Kind == "workflow" && s.State == "running":
			w.For = fmt.Sprintf("child %s (%s)", s.Target, s.Name)
		case s.Kind != "activity" && s.State == "waiting":
			w.For, w.Due = stepTitle(&s), s.Due
		case missing[s.Step] != "":
			w.For = missing[s.Step]
		case s.State == "running":
			w.For, w.Since = s.Name, s.Attempts[len(s.Attempts)-1].Began
		case s.State == "retrying":
			w.For, w.Due = "the next attempt of "+s.Name, s.Due
			if n := crashes(s.Attempts); n > 0 && !s.Due.After(time.Now()) {
				w.For += fmt.Sprintf(" (its process has died %s; those that can bear few more deaths run a few at a time)", count(n, "time"))
			}
		case s.State == "waiting":
			w.For = "a free slot for " + s.Name
		default:
			continue
		}
		out = append(out, w)
	}
	return out
}

// crashes counts the attempts under which the process died.
func crashes(attempts []engine.Attempt) (n int) {
	for i := range attempts {
		if attempts[i].Outcome == "crashed" {
			n++
		}
	}
	return n
}

// unoffered says of an execution's steps why nobody has begun them: no live worker can run them, another call computes their
// result, or their turn has not come.
func unoffered(ctx context.Context, eng *engine.Engine, store backend.Store, h engine.History, live []engine.SessionInfo) (map[string]string, error) {
	if h.Execution.State.Terminal() {
		return nil, nil
	}
	tasks, err := store.Tasks(ctx, backend.TaskFilter{Execution: h.Execution.ID, Limit: 1000, Bare: true})
	if err != nil {
		return nil, err
	}
	missing := make(map[string]string)
	looked := 0
	for i := range h.Steps {
		s := &h.Steps[i]
		if s.Memo == "" || s.State != "waiting" {
			continue
		}
		if looked++; looked > mostWaiting {
			break
		}
		by, err := sharedWith(ctx, eng, store, s.Memo, live)
		if errors.Is(err, backend.ErrNotFound) { // it was removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		if by != nil && (by.execution != h.Execution.ID || by.step != s.Step) {
			missing[s.Step] = fmt.Sprintf("the same call of %s by execution %s, step %s", s.Name, by.execution, by.step)
			if by.idle && by.execution != h.Execution.ID {
				missing[s.Step] += " ('senpuki resume " + by.execution + "')"
			}
		}
	}
	for i := range tasks {
		if k := &tasks[i]; k.Owner == 0 && !offered(k, live) {
			missing[k.Step] = notOffered(k)
		} else if k.Owner == 0 {
			missing[k.Step] = freeSlot(k)
		}
	}
	return missing, nil
}

// showSteps prints the steps, and the attempts of those that had more than one.
func (a *app) showSteps(steps []engine.Step, all bool, now time.Time) {
	if len(steps) == 0 {
		return
	}
	fmt.Fprintln(a.out)
	if hidden := len(steps) - shownSteps; hidden > 0 && !all {
		fmt.Fprintf(a.out, "%s before these; --all shows them\n", count(hidden, "step"))
		steps = steps[hidden:]
	}
	t := table{head: []string{"STEP", "NAME", "STATE", "TOOK", "WHERE", "WHAT"}, fixed: 3, style: func(column int, text string) string {
		if column == 2 {
			return stateStyle(text)
		}
		return text
	}}
	for _, s := range steps {
		spent := now
		if !s.Ended.IsZero() {
			spent = s.Ended
		}
		t.row(s.Step, stepTitle(&s), s.State, duration(spent.Sub(s.Asked).Truncate(time.Microsecond)), s.Pos, stepText(s))
		if len(s.Attempts) < 2 && s.State != "retrying" {
			continue
		}
		for _, at := range s.Attempts {
			spent := "-"
			if !at.Ended.IsZero() {
				spent = duration(at.Ended.Sub(at.Began).Truncate(time.Microsecond))
			}
			t.row("", fmt.Sprintf("  attempt %d", at.Number), at.Outcome, spent, "", oneLine(failureText(at.Failure), 200))
		}
	}
	t.write(a.out, a.color())
}

// stepText is a step's arguments and what came of it, in one line.
func stepText(s engine.Step) string {
	const room = 60
	args := strings.TrimSuffix(strings.TrimPrefix(oneLine(string(s.Args), 0), "["), "]")
	if kwargs := oneLine(string(s.Kwargs), 0); kwargs != "" && kwargs != "{}" {
		args = strings.TrimPrefix(args+" "+kwargs, " ")
	}
	if s.Kind != "activity" {
		args = ""
	}
	text := oneLine(args, room)
	if s.Target != "" {
		text = s.Target
	}
	switch {
	case s.State == "cancelled": // there is no more to say
	case s.Failure != nil:
		text += " → " + failureText(s.Failure)
	case s.State == "done" && len(s.Value) > 0 && s.Kind != string(starlark.StartTimer):
		text += " → " + oneLine(string(s.Value), room)
		if s.Hit {
			text += " (stored)" // another step computed it
		}
	}
	return strings.TrimSpace(text)
}
