// The live display of exec and resume on a terminal.

package cli

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

const frame = 100 * time.Millisecond

var (
	spinner   = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	styleGood = lipgloss.NewStyle().Foreground(lipgloss.Green)
	styleBad  = lipgloss.NewStyle().Foreground(lipgloss.Red)
	styleBusy = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	styleDim  = lipgloss.NewStyle().Faint(true)
	styleBold = lipgloss.NewStyle().Bold(true)
)

// live shows the tree until finish. It reads no keys and leaves the terminal's
// mode alone, so that kill -9 cannot leave it broken.
func (p *progress) live() {
	defer close(p.quit)
	stops := newTerminalStops()
	defer signal.Stop(stops)
	prog := tea.NewProgram(&liveModel{progress: p, stops: stops, width: 80, height: 24},
		tea.WithOutput(p.out), tea.WithInput(nil), tea.WithoutSignalHandler(), tea.WithEnvironment(os.Environ()))
	go func() {
		for {
			select {
			case <-stops:
				prog.Send(liveStop{})
			case <-p.over:
				prog.Send(liveOver{})
				return
			}
		}
	}()
	if _, err := prog.Run(); err != nil {
		fmt.Fprintf(p.out, "live display: %v\n", err)
	}
}

type (
	liveTick    struct{}
	liveOver    struct{}
	liveStop    struct{} // by the terminal, until it has us go on
	livePrinted struct{} // what had to be printed above the tree, or the process has been stopped and goes on
)

// liveModel is the display for bubbletea.
type liveModel struct {
	progress      *progress
	stops         terminalStops
	width, height int
	text          string // the tree as it is shown; it stays as it is while lines are printed above it
	ticks         int
	printing      bool // or stopping
	stop, over    bool // when what is printed has been
}

func tick() tea.Cmd { return tea.Tick(frame, func(time.Time) tea.Msg { return liveTick{} }) }

func (m *liveModel) Init() tea.Cmd { return tick() }

func (m *liveModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		if !m.printing {
			m.draw()
		}
	case liveTick:
		m.ticks++
		if !m.printing {
			return m, m.next()
		}
	case livePrinted:
		m.printing = false
		if m.over || m.stop {
			return m, m.next()
		}
		m.draw()
		return m, tick()
	case liveStop:
		m.stop = true
		if !m.printing {
			return m, m.next()
		}
	case liveOver:
		m.over = true
		if !m.printing {
			return m, m.next()
		}
	}
	return m, nil
}

// next prints the lines that wait, above the tree; without any it draws the tree anew, or at the end leaves. As many lines
// are printed at once as fit above the tree: of more, some would be lost, and the rest of what is scrolled back to be blank.
func (m *liveModel) next() tea.Cmd {
	if m.stop {
		m.stop, m.printing, m.text = false, true, ""
		return tea.Exec(m.stops, func(error) tea.Msg { return livePrinted{} })
	}
	var lines []string
	for _, l := range m.progress.take() {
		lines = append(lines, strings.Split(wrapped(l, m.width), "\n")...)
	}
	switch {
	case len(lines) > 0:
	case m.over:
		m.text = ""
		return tea.Quit
	default:
		m.draw()
		return tick()
	}
	m.printing = true
	var prints []tea.Cmd
	for part := range slices.Chunk(lines, max(m.height-strings.Count(m.text, "\n")-1, 1)) {
		prints = append(prints, tea.Println(strings.Join(part, "\n")))
	}
	return tea.Sequence(append(prints, func() tea.Msg { return livePrinted{} })...)
}

func (m *liveModel) draw() {
	m.text = m.progress.tree(m.width, m.height, spinner[m.ticks%len(spinner)], time.Now())
}

// wrapped is a line as lines of width. A command at its end that does not fit has a line of its own, which is left to the
// terminal when it is longer: who copies it gets it whole.
func wrapped(line string, width int) string {
	const before = " with: "
	if at := strings.LastIndex(line, before+program()+" "); at >= 0 && ansi.StringWidth(line) > width {
		at += len(before)
		return ansi.Wrap(line[:at-1], width, "") + "\n" + line[at:]
	}
	return ansi.Wrap(line, width, "")
}

func (m *liveModel) View() tea.View {
	v := tea.NewView(m.text)
	if m.text != "" {
		v.Cursor = tea.NewCursor(0, strings.Count(m.text, "\n")) // a killed process leaves it visible
	}
	return v
}

// tree is the display as text that fits width and height.
func (p *progress) tree(width, height int, spin string, now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lines []string
	for _, g := range p.groups {
		lines = append(lines, g.lines(width, spin, now)...)
	}
	if p.fraction != nil || p.shown != "" {
		height--
	}
	if room := max(height-3, 1); len(lines) > room {
		hidden := len(lines) - room + 1
		lines = append([]string{styleDim.Render(fmt.Sprintf("  … %s above", count(hidden, "line")))}, lines[hidden:]...)
	}
	head := fmt.Sprintf("%s %s %s", styleBusy.Render(spin), styleBold.Render(p.title),
		styleDim.Render(fmt.Sprintf("%s, %s done, %d running", duration(now.Sub(p.started).Truncate(100*time.Millisecond)), count(p.done, "step"), p.running)))
	if p.fraction != nil {
		lines = append([]string{fmt.Sprintf("  %s %.0f%% %s", cells(width, *p.fraction), 100**p.fraction, p.shown)}, lines...)
	} else if p.shown != "" {
		lines = append([]string{"  " + p.shown}, lines...)
	}
	lines = append([]string{head}, lines...)
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, max(width, 1), "…")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (g *group) lines(width int, spin string, now time.Time) []string {
	if g.total() > fewItems {
		return []string{g.bar(width, spin, now)}
	}
	lines := make([]string, len(g.items))
	for i, it := range g.items {
		lines[i] = it.line(spin, now)
	}
	return lines
}

// cells is a bar of which a fraction is full: 20 cells, fewer where the
// terminal is too narrow for them and for what is said beside them.
func cells(width int, fraction float64) string {
	all := min(max(width/4, 4), 20)
	full := min(max(int(float64(all)*fraction+0.5), 0), all)
	return strings.Repeat("█", full) + styleDim.Render(strings.Repeat("░", all-full))
}

// total is how many steps there are or will be at least.
func (g *group) total() int { return max(g.asked, g.tasks) }

// bar is a group of many steps: how far it is, how fast, and how long it will take.
func (g *group) bar(width int, spin string, now time.Time) string {
	ended, total := g.done+g.failed, g.total()
	mark := styleGood.Render("✓")
	if ended < total {
		mark = styleBusy.Render(spin)
	}
	text := fmt.Sprintf("  %s %s %s %d/%d", mark, g.items[0].name, cells(width, float64(ended)/float64(total)), ended, total)
	if g.failed > 0 {
		text += styleBad.Render(fmt.Sprintf(" %d failed", g.failed))
	}
	if spent := now.Sub(g.first).Seconds(); ended > 0 && ended < total && spent > 0.5 {
		rate := float64(ended) / spent
		left := time.Duration(float64(total-ended) / rate * float64(time.Second))
		text += styleDim.Render(fmt.Sprintf(" %.0f/s, %s left", rate, duration(left.Truncate(time.Second))))
	}
	return text
}

func (it *item) line(spin string, now time.Time) string {
	label := it.step + " " + it.name
	switch it.state {
	case "done":
		return fmt.Sprintf("  %s %s %s", styleGood.Render("✓"), label, styleDim.Render(duration(it.took)))
	case "failed":
		return fmt.Sprintf("  %s %s %s", styleBad.Render("✗"), label, it.note)
	case "retrying":
		left := max(it.retry.Sub(now), 0).Truncate(100 * time.Millisecond)
		return fmt.Sprintf("  %s %s %s", styleBusy.Render("↻"), label,
			styleDim.Render(fmt.Sprintf("attempt %d failed, next in %s: %s", it.attempt, duration(left), it.note)))
	case "running":
		text := duration(now.Sub(it.since).Truncate(100 * time.Millisecond))
		if it.attempt > 1 {
			text += fmt.Sprintf(", attempt %d", it.attempt)
		}
		return fmt.Sprintf("  %s %s %s", styleBusy.Render(spin), label, styleDim.Render(text))
	}
	return fmt.Sprintf("  %s %s %s", styleDim.Render("·"), label, styleDim.Render("waiting "+duration(now.Sub(it.since).Truncate(100*time.Millisecond))))
}
