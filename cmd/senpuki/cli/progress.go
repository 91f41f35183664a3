// Progress: what an engine says, folded into what a person wants to see.

package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/senpuki/senpuki/engine"
)

// progress observes an engine. On a terminal it is shown live (live.go), else as
// lines. Observe never blocks: lines wait in memory for whoever writes them.
type progress struct {
	out   io.Writer
	quiet bool
	tty   bool          // it is shown live
	stuck chan struct{} // capacity 1: an execution here is stuck
	wake  chan struct{} // capacity 1: there are lines

	mu       sync.Mutex // guards all below
	title    string
	id       string // of the execution that is shown; others are its children
	started  time.Time
	lines    []string
	groups   []*group
	steps    map[string]*item
	tasks    map[string]int // of fan-outs, by their number in the main branch
	shown    string         // what the script shows of itself
	fraction *float64
	turn     int // counts the groups of steps of the main branch
	done     int
	running  int
	failed   int
	told     time.Time // when a plain summary was last given
	finished bool
	ran      bool            // something happened here
	begun    bool            // what is shown began here; else it had begun before, and not all of its steps were seen
	lacking  map[string]bool // activities that this program does not have and their queues, which were said

	over chan struct{} // closed by finish
	quit chan struct{} // closed when the writer has ended
}

// group is steps that are shown together: calls of one activity from one place,
// or one after the other.
type group struct {
	key         string
	items       []*item // while there are few
	tasks       int     // of the fan-out that it is
	asked, done int
	failed      int
	first       time.Time
}

// item is one step.
type item struct {
	step, name string
	execution  string
	memo       string // hash of the result that it shares, and perhaps waits for
	group      *group
	state      string // waiting, running, retrying, done, failed
	attempt    int
	since      time.Time
	took       time.Duration
	retry      time.Time
	note       string
}

const (
	fewItems   = 6  // a group with more is one line with a bar
	plainSteps = 20 // more steps are summed up in plain lines
	maxGroups  = 200
)

func newProgress(out io.Writer, quiet, live bool) *progress {
	return &progress{
		out: out, quiet: quiet, tty: live,
		stuck: make(chan struct{}, 1), wake: make(chan struct{}, 1), steps: map[string]*item{}, tasks: map[string]int{}, lacking: map[string]bool{},
		over: make(chan struct{}), quit: make(chan struct{}),
	}
}

// begin shows execution x from here on.
func (p *progress) begin(x engine.Execution, hint string) {
	p.mu.Lock()
	p.title, p.started = x.Workflow+" "+x.ID, time.Now()
	if p.shown == "" && p.fraction == nil {
		p.fraction, p.shown = shownParts(x.Shown)
	}
	if !p.quiet { // it has run for a moment already, but this comes first
		first := fmt.Sprintf("%s %s; %s", x.Workflow, x.ID, hint)
		p.lines = append([]string{first}, p.lines...)
	}
	p.mu.Unlock()
	if p.tty && !p.quiet && !x.State.Terminal() {
		go p.live()
	} else {
		go p.plain()
	}
}

// say adds a line of this program's own, unless it is to be quiet.
func (p *progress) say(line string) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	p.add(line)
	p.mu.Unlock()
}

// warn adds a line that is told even when it is to be quiet, and before an execution is shown.
func (p *progress) warn(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() || p.finished {
		fmt.Fprintln(p.out, line)
		return
	}
	p.add(line)
}

// add queues a line for the writer. p.mu is held.
func (p *progress) add(line string) {
	p.lines = append(p.lines, line)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// sharing are the steps, at most so many, that have waited for longest, since before a point in time, and share a result.
func (p *progress) sharing(before time.Time, most int) (list []item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.steps {
		if it.memo != "" && it.state == "waiting" && it.since.Before(before) {
			list = append(list, *it)
		}
	}
	slices.SortFunc(list, func(a, b item) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.step, b.step)) })
	return list[:min(len(list), most)]
}

// any tells whether an execution has run here at all.
func (p *progress) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ran
}

// take empties the queue of lines.
func (p *progress) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// finish ends the display with a last line. It may be called again, in vain.
func (p *progress) finish(last string) {
	p.mu.Lock()
	begun, again := !p.started.IsZero(), p.finished
	p.finished = true
	if !again && last != "" && !p.quiet {
		if p.done+p.failed > 0 {
			last += ", " + count(p.done+p.failed, "step")
			if !p.begun { // the time is of all of it
				last += " here"
			}
		}
		p.add(last)
	}
	p.mu.Unlock()
	if again {
		return
	}
	close(p.over)
	if begun {
		<-p.quit
	}
	for _, line := range p.take() {
		fmt.Fprintln(p.out, line)
	}
}

// plain writes lines as they come.
func (p *progress) plain() {
	defer close(p.quit)
	for {
		for _, line := range p.take() {
			fmt.Fprintln(p.out, line)
		}
		select {
		case <-p.wake:
		case <-p.over:
			return
		}
	}
}

// Observe implements engine.Observer.
func (p *progress) Observe(ev engine.Event) {
	if ev.Kind == engine.ExecutionStuck {
		select {
		case p.stuck <- struct{}{}:
		default:
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran = true
	if p.id == "" {
		p.id = ev.Execution
	}
	if ev.Kind == engine.ExecutionStarted && ev.Execution == p.id {
		p.begun = true
	}
	if ev.Step != "" && ev.Execution != p.id {
		ev.Step = ev.Execution + "/" + ev.Step
	}
	if ev.Kind == engine.Logged && ev.Line != nil {
		p.add(logText(*ev.Line))
		return
	}
	if ev.Kind == engine.Published && ev.Execution == p.id {
		p.fraction, p.shown = shownParts(ev.Shown)
	}
	if ev.Kind == engine.FannedOut {
		if ev.Execution == p.id && !strings.Contains(ev.Step, ".") {
			p.tasks[ev.Step] = ev.Tasks
		}
		return
	}
	if p.quiet || ev.Step == "" {
		return
	}
	now := time.Now()
	if ev.Kind == engine.StepCancelled {
		p.cancelled(ev.Step)
		return
	}
	it := p.item(ev, now)
	switch ev.Kind {
	case engine.AttemptStarted:
		p.leave(it)
		it.state, it.attempt, it.since = "running", ev.Attempt, now
		p.running++
	case engine.AttemptFailed:
		p.leave(it)
		it.state, it.retry, it.note = "retrying", ev.Retry, failureText(ev.Failure)
		p.add(fmt.Sprintf("step %s %s: attempt %d failed: %s%s", it.step, it.name, ev.Attempt, it.note, nextTry(ev, now)))
	case engine.StepElsewhere:
		if what := ev.Name + " on " + ev.Queue; !p.lacking[what] {
			p.lacking[what] = true
			p.add(fmt.Sprintf("step %s %s: this program does not have the activity; it waits for a worker that offers it on queue %s", it.step, it.name, ev.Queue))
		}
	case engine.StepDone, engine.StepFailed:
		p.end(it, ev, now)
	}
}

func nextTry(ev engine.Event, now time.Time) string {
	if ev.Retry.IsZero() {
		return ""
	}
	return "; next in " + duration(ev.Retry.Sub(now).Round(time.Millisecond))
}

// leave counts a step out of those that run. p.mu is held.
func (p *progress) leave(it *item) {
	if it.state == "running" {
		p.running--
	}
}

// end notes a step's outcome. p.mu is held.
func (p *progress) end(it *item, ev engine.Event, now time.Time) {
	p.leave(it)
	it.took = now.Sub(it.since)
	if ev.Kind == engine.StepFailed {
		it.state, it.note = "failed", failureText(ev.Failure)
		it.group.failed++
		p.failed++
		p.add(fmt.Sprintf("step %s %s: failed: %s", it.step, it.name, it.note))
	} else {
		it.state, it.note = "done", ""
		it.group.done++
		p.done++
		if !p.tty {
			p.tellDone(it, now)
		}
	}
	delete(p.steps, it.step)
}

// cancelled takes a step out that the script has cancelled: it is no failure, and
// a timer or a wait that was not needed any more is nothing to look at. p.mu is held.
func (p *progress) cancelled(step string) {
	it := p.steps[step]
	if it == nil {
		return
	}
	p.leave(it)
	delete(p.steps, step)
	g := it.group
	g.asked--
	g.items = slices.DeleteFunc(g.items, func(o *item) bool { return o == it })
	if g.asked == 0 {
		p.groups = slices.DeleteFunc(p.groups, func(o *group) bool { return o == g })
	}
}

// tellDone says in plain lines that a step is done: the first ones each, then sums.
func (p *progress) tellDone(it *item, now time.Time) {
	switch {
	case p.done <= plainSteps:
		p.add(fmt.Sprintf("step %s %s: done in %s", it.step, it.name, duration(it.took)))
		p.told = now
	case now.Sub(p.told) >= time.Second:
		p.add(fmt.Sprintf("%s done, %d running", count(p.done, "step"), p.running))
		p.told = now
	}
}

// item finds or makes the step that ev is about. p.mu is held.
func (p *progress) item(ev engine.Event, now time.Time) *item {
	if it := p.steps[ev.Step]; it != nil {
		return it
	}
	top, _, nested := strings.Cut(ev.Step, ".")
	key := ev.Name + " in " + top
	switch {
	case ev.Execution != p.id:
		key = ev.Name + " in children"
	case !nested:
		// Steps of one name, one after the other, are a group until another begins.
		key = fmt.Sprintf("%s #%d", ev.Name, p.turn)
		if n := len(p.groups); n == 0 || p.groups[n-1].key != key {
			p.turn++
			key = fmt.Sprintf("%s #%d", ev.Name, p.turn)
		}
	}
	g := p.group(key, now)
	if nested && ev.Execution == p.id {
		g.tasks = p.tasks[top]
	}
	it := &item{step: ev.Step, name: ev.Name, execution: ev.Execution, memo: ev.Memo, group: g, state: "waiting", since: now}
	p.steps[ev.Step] = it
	g.asked++
	if len(g.items) <= fewItems {
		g.items = append(g.items, it)
	}
	return it
}

// group finds or makes a group; the newest ones are looked at. p.mu is held.
func (p *progress) group(key string, now time.Time) *group {
	for i := len(p.groups) - 1; i >= max(0, len(p.groups)-32); i-- {
		if p.groups[i].key == key {
			return p.groups[i]
		}
	}
	g := &group{key: key, first: now}
	if len(p.groups) >= maxGroups { // nobody sees the oldest any more
		p.groups = slices.DeleteFunc(p.groups, func(old *group) bool { return old.done+old.failed == old.asked })
	}
	p.groups = append(p.groups, g)
	return g
}
