// The full-screen view as text.

package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/senpuki/senpuki/engine"
)

// room is how many rows the list has.
func (m *watchModel) room() int { return max(m.height-9, 1) }

const watchKeys = "enter open  / filter  s state  c cancel  r retry  ? help  q quit"

// text is the whole screen.
func (m *watchModel) text(now time.Time) string {
	var lines []string
	switch {
	case m.help:
		lines = m.helpLines()
	case m.now.at.IsZero():
		lines = []string{"looking…"}
	case m.open != "":
		lines = m.oneLines(now)
	default:
		lines = m.allLines(now)
	}
	lines = lines[:min(len(lines), max(m.height-1, 0))]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, m.footer())
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, max(m.width, 1), "…")
	}
	return strings.Join(lines, "\n")
}

func (m *watchModel) footer() string {
	switch {
	case m.asking != nil:
		return styleBusy.Render(m.asking.question + " y/n")
	case m.typing:
		return "/" + m.filter + "▏"
	case m.now.err != nil:
		return styleBad.Render(oneLine(m.now.err.Error(), 0))
	case m.message != "":
		return m.message
	case m.open != "" && m.alone:
		return styleDim.Render("c cancel  r retry  ? help  q quit")
	case m.open != "":
		return styleDim.Render("esc back  c cancel  r retry  ? help  q quit")
	}
	return styleDim.Render(watchKeys)
}

func (m *watchModel) helpLines() []string {
	return []string{
		styleBold.Render("Keys"), "",
		"up, down, pgup, pgdown   move", "home, end                first, last", "enter                    open the execution",
		"esc                      back, or drop the filter", "/                        filter by id, workflow, state or tag",
		"s                        step through the states", "c                        cancel (asks first)",
		"r                        retry from the failed step (asks first)", "?                        this page", "q, ctrl+c                leave",
	}
}

// allLines show the database.
func (m *watchModel) allLines(now time.Time) []string {
	st := m.now.stats
	var counts []string
	for _, s := range allStates {
		if n := st.States[s]; n > 0 {
			counts = append(counts, fmt.Sprintf("%s %d", stateStyle(strings.ReplaceAll(string(s), "_", " ")), n))
		}
	}
	if st.Stuck > 0 {
		counts = append(counts, fmt.Sprintf("%s %d", stateStyle("stuck"), st.Stuck))
	}
	if len(counts) == 0 {
		counts = []string{"no executions"}
	}
	failed := 0.0
	if st.Ended > 0 {
		failed = 100 * float64(st.Failed) / float64(st.Ended)
	}
	lines := []string{
		styleBold.Render("senpuki") + "  " + strings.Join(counts, "  "),
		fmt.Sprintf("%s %.1f/s ended in the last minute, %.0f%% of them failed", sparkline(m.rates), float64(st.Ended)/watchSpan.Seconds(), failed),
		m.queueLine(now), m.workerLine(), m.letterLine(now), "",
	}
	return append(lines, m.listLines(now)...)
}

func (m *watchModel) queueLine(now time.Time) string {
	if len(m.now.stats.Queues) == 0 {
		return styleDim.Render("queues   nothing waits")
	}
	var parts []string
	for _, q := range m.now.stats.Queues {
		parts = append(parts, fmt.Sprintf("%s %d+%d, oldest %s", q.Queue, q.Pending, q.Tasks, ago(q.OldestDue, now)))
	}
	return "queues   " + strings.Join(parts, "; ")
}

func (m *watchModel) workerLine() string {
	count := make(map[string]int)
	workers, busy := 0, int64(0)
	for _, w := range m.now.workers {
		if !w.Hold {
			workers++
		}
		busy += w.Running
		for _, b := range w.Now {
			count[b.Activity]++
		}
	}
	var names []string
	for name, n := range count {
		names = append(names, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(names)
	text := fmt.Sprintf("workers  %d, %s", workers, busyText(busy))
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ")
	}
	return text
}

// busyText is "1 activity runs" or "2 activities run".
func busyText(n int64) string {
	if n == 1 {
		return "1 activity runs"
	}
	return count(int(n), "activity") + " run"
}

func (m *watchModel) letterLine(now time.Time) string {
	if len(m.now.letters) == 0 {
		return styleDim.Render("dead     none")
	}
	l := m.now.letters[0]
	return fmt.Sprintf("dead     %d, the newest %s: %s of %s, %s", m.now.stats.Dead, ago(l.At, now), l.Activity, l.Execution, oneLine(failureText(l.Failure), 60))
}

// listLines show the executions around the cursor.
func (m *watchModel) listLines(now time.Time) []string {
	rows := m.rows()
	head := fmt.Sprintf("%-30s %-18s %-10s %-9s %-8s %s", "ID", "WORKFLOW", "STATE", "CREATED", "TOOK", "NOTE")
	if m.filter != "" || m.state > 0 {
		head += styleBusy.Render(fmt.Sprintf("  [%s%s]", watchStates[m.state], m.filter))
	}
	lines := []string{styleDim.Render(head)}
	m.top = max(min(m.top, m.cursor), m.cursor-m.room()+1)
	for i := m.top; i < min(len(rows), m.top+m.room()); i++ {
		x := rows[i]
		line := fmt.Sprintf("%-30s %-18s %s %-9s %-8s %s", ansi.Truncate(x.ID, 30, "…"), ansi.Truncate(x.Workflow, 18, "…"),
			stateStyle(fmt.Sprintf("%-10s", stateText(x))), ago(x.Created, now), took(x, now), watchNote(x))
		if i == m.cursor {
			line = styleBold.Render("▸") + line
		} else {
			line = " " + line
		}
		lines = append(lines, line)
	}
	return lines
}

// watchNote is what an execution shows of itself, or else what there is to say of it.
func watchNote(x engine.Execution) string {
	if text := note(x); text != "" {
		return text
	}
	return shownText(x.Shown)
}

// oneLines show an execution: what it is, its steps on a timeline, its newest log lines.
func (m *watchModel) oneLines(now time.Time) []string {
	h := m.now.one
	x := h.Execution
	end := now
	if !x.Finished.IsZero() {
		end = x.Finished
	}
	lines := []string{
		fmt.Sprintf("%s  %s  %s  %s", styleBold.Render(x.ID), x.Workflow, stateStyle(stateText(x)), took(x, now)),
	}
	for _, text := range []string{shownText(x.Shown), note(x)} {
		if text != "" {
			lines = append(lines, text)
		}
	}
	if x.State == "completed" {
		lines = append(lines, "= "+oneLine(string(x.Result), 200))
	}
	lines = append(lines, "")
	start := x.Started
	if start.IsZero() { // a fork that nobody has claimed has steps
		start = x.Created
	}
	logs := m.now.logs[max(0, len(m.now.logs)-5):]
	room := max(m.height-len(lines)-len(logs)-3, 1)
	m.top = max(min(m.top, m.cursor), m.cursor-room+1)
	for i := m.top; i < min(len(h.Steps), m.top+room); i++ {
		lines = append(lines, m.stepLine(&h.Steps[i], i == m.cursor, start, end, now))
	}
	if len(logs) > 0 {
		lines = append(lines, "")
	}
	for _, l := range logs {
		lines = append(lines, styleDim.Render(l.At.Local().Format("15:04:05"))+" "+oneLine(l.Message, 0))
	}
	return lines
}

// timeline is how many cells a step's bar has room in.
const timeline = 24

// stepLine shows a step, indented by how deep its branch is, with a bar where it is in the execution's time.
func (m *watchModel) stepLine(s *engine.Step, selected bool, start, end, now time.Time) string {
	from, to := s.Asked, s.Ended
	if to.IsZero() {
		to = end
	}
	state := s.State
	if s.State == "retrying" && s.Due.After(now) {
		state = "retry " + duration(s.Due.Sub(now).Truncate(time.Second))
	}
	mark := " "
	if selected {
		mark = styleBold.Render("▸")
	}
	name := strings.Repeat("  ", strings.Count(s.Step, ".")) + s.Step + " " + stepTitle(s)
	tries := ""
	if n := len(s.Attempts); n > 1 {
		tries = fmt.Sprintf(" ×%d", n)
	}
	detail := ""
	if s.Failure != nil {
		detail = oneLine(failureText(s.Failure), 60)
	}
	return fmt.Sprintf("%s%-34s %s %s %s%s %s", mark, ansi.Truncate(name, 34, "…"), bar(start, end, from, to), stateStyle(fmt.Sprintf("%-9s", state)),
		duration(to.Sub(from).Truncate(time.Millisecond)), tries, detail)
}

// bar is where a span lies in a longer one.
func bar(start, end, from, to time.Time) string {
	cells := []rune(strings.Repeat("·", timeline))
	if whole := end.Sub(start); whole > 0 {
		at := func(t time.Time) int { return int(float64(t.Sub(start)) / float64(whole) * timeline) }
		first := max(0, min(at(from), timeline-1))
		for i := first; i <= max(first, min(at(to), timeline-1)); i++ {
			cells[i] = '━'
		}
	}
	return string(cells)
}

// sparkline draws rates, the highest as a full block.
func sparkline(rates []float64) string {
	levels := []rune(" ▁▂▃▄▅▆▇█")
	rates = rates[max(0, len(rates)-20):]
	top := 0.0
	for _, r := range rates {
		top = max(top, r)
	}
	line := make([]rune, 0, 20)
	for range 20 - len(rates) {
		line = append(line, ' ')
	}
	for _, r := range rates {
		i := 0
		if top > 0 {
			i = int(r / top * float64(len(levels)-1))
		}
		line = append(line, levels[i])
	}
	return string(line)
}
