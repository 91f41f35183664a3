// The full-screen view: its state, and what keys do.

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// watchModel is the view for bubbletea. Looks at the database run beside it: it never waits for one.
type watchModel struct {
	ctx           context.Context
	watcher       *watcher
	width, height int

	now     snapshot
	rates   []float64 // executions that ended a second, newest last
	cursor  int
	top     int    // first row that is shown
	open    string // id of the execution whose steps are shown
	alone   bool   // there is nothing to go back to
	filter  string
	typing  bool
	state   int  // index in watchStates
	help    bool // the keys are shown
	asking  *watchAction
	message string
}

// watchAction is what a key has asked for and the user has not confirmed yet.
type watchAction struct {
	question string
	done     string
	do       func(ctx context.Context) error
}

// watchStates are what the key s steps through; the first shows all.
var watchStates = append([]backend.State{""}, allStates...)

type (
	watchLooked snapshot
	watchAgain  struct{}
	watchDone   struct {
		text string
		err  error
	}
)

func (m *watchModel) look() tea.Cmd {
	states, open := m.states(), m.open
	return func() tea.Msg { return watchLooked(m.watcher.look(m.ctx, states, open)) }
}

func (m *watchModel) states() []backend.State {
	if s := watchStates[m.state]; s != "" {
		return []backend.State{s}
	}
	return nil
}

// Init implements tea.Model.
func (m *watchModel) Init() tea.Cmd { return m.look() }

// Update implements tea.Model.
func (m *watchModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case watchAgain:
		return m, m.look()
	case watchLooked:
		m.looked(snapshot(msg))
		return m, tea.Tick(watchEvery, func(time.Time) tea.Msg { return watchAgain{} })
	case watchDone:
		if m.message = msg.text; msg.err != nil {
			m.message = msg.err.Error()
		}
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	}
	return m, nil
}

// looked takes a snapshot; one of another view comes too late.
func (m *watchModel) looked(s snapshot) {
	if (s.one != nil) != (m.open != "") || s.one != nil && s.one.Execution.ID != m.open && s.err == nil {
		return
	}
	m.now = s
	if s.one == nil {
		m.rates = append(m.rates, float64(s.stats.Ended)/watchSpan.Seconds())
		m.rates = m.rates[max(0, len(m.rates)-60):]
	}
	m.cursor = max(0, min(m.cursor, len(m.rows())-1))
}

// rows are the executions that the filter lets through.
func (m *watchModel) rows() []engine.Execution {
	if m.filter == "" {
		return m.now.executions
	}
	var list []engine.Execution
	for _, x := range m.now.executions {
		if strings.Contains(x.ID+" "+x.Workflow+" "+stateText(x)+" "+strings.Join(x.Tags, " "), m.filter) {
			list = append(list, x)
		}
	}
	return list
}

// key carries out what a key asks for.
func (m *watchModel) key(k string) tea.Cmd {
	switch {
	case k == "ctrl+c":
		return tea.Quit
	case m.asking != nil:
		return m.answer(k)
	case m.typing:
		m.edit(k)
		return nil
	case m.help: // whatever else it means: what it would act on is hidden
		m.help = false
		return nil
	}
	m.message = ""
	switch k {
	case "q":
		return tea.Quit
	case "?", "h":
		m.help = true
	case "up", "k":
		m.cursor--
	case "down", "j":
		m.cursor++
	case "pgup":
		m.cursor -= m.room()
	case "pgdown", "space":
		m.cursor += m.room()
	case "home", "g":
		m.cursor = 0
	case "end", "G":
		m.cursor = len(m.rows()) + m.steps()
	case "/":
		if m.open == "" {
			m.typing = true
		}
	case "s":
		m.state = (m.state + 1) % len(watchStates)
		return m.look()
	case "enter":
		if x := m.selected(); x != nil && m.open == "" {
			m.open, m.cursor, m.top, m.now = x.ID, 0, 0, snapshot{}
			return m.look()
		}
	case "esc", "backspace", "left":
		if m.open != "" && !m.alone {
			m.open, m.cursor, m.top, m.now = "", 0, 0, snapshot{}
			return m.look()
		}
		m.filter = ""
	case "c", "r":
		m.ask(k)
	}
	m.cursor = max(0, min(m.cursor, max(len(m.rows()), m.steps())-1))
	return nil
}

// steps is how many steps the open execution has.
func (m *watchModel) steps() int {
	if m.now.one == nil {
		return 0
	}
	return len(m.now.one.Steps)
}

// edit changes the filter.
func (m *watchModel) edit(k string) {
	switch k {
	case "enter", "esc":
		if m.typing = false; k == "esc" {
			m.filter = ""
		}
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	case "space":
		m.filter += " "
	default:
		if len([]rune(k)) == 1 {
			m.filter += k
		}
	}
	m.cursor, m.top = 0, 0
}

// selected is the execution that a key is about.
func (m *watchModel) selected() *engine.Execution {
	if m.now.one != nil {
		return &m.now.one.Execution
	}
	if rows := m.rows(); m.cursor < len(rows) {
		return &rows[m.cursor]
	}
	return nil
}

// ask asks before something is cancelled or retried.
func (m *watchModel) ask(k string) {
	x := m.selected()
	if x == nil {
		return
	}
	id, eng := x.ID, m.watcher.eng
	if k == "c" {
		m.asking = &watchAction{"cancel " + id + "?", id + " is told to cancel", func(ctx context.Context) error { return eng.Cancel(ctx, id, "cancelled by hand") }}
		return
	}
	m.asking = &watchAction{"retry " + id + " from its failed step?", id + " goes on as a new run", func(ctx context.Context) error {
		return eng.Retry(ctx, id, engine.RerunOptions{})
	}}
}

func (m *watchModel) answer(k string) tea.Cmd {
	act := m.asking
	if m.asking = nil; k != "y" && k != "Y" && k != "enter" {
		m.message = "left alone"
		return nil
	}
	m.message = "…"
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, 10*time.Second)
		defer cancel()
		return watchDone{act.done, act.do(ctx)}
	}
}

// View implements tea.Model.
func (m *watchModel) View() tea.View {
	v := tea.NewView(m.text(time.Now()))
	v.AltScreen = true
	v.WindowTitle = "senpuki"
	if m.open != "" {
		v.WindowTitle = fmt.Sprintf("senpuki %s", m.open)
	}
	return v
}
