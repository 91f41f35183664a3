// senpuki watch: what goes on, as it goes on.

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

const (
	// watchEvery is the pause between two looks at the database.
	watchEvery = 500 * time.Millisecond
	// watchRows is how many executions are looked at, the newest.
	watchRows = 500
	// watchSpan is over how long throughput and failures are counted.
	watchSpan = time.Minute
)

func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch [ID]",
		Short: "Watch executions, or one of them, live",
		Long: `A full-screen view of executions, running activities, queues, throughput, failures, dead letters
and workers, or of the steps of one execution. On anything but a terminal it prints a line for
each change, with --json a document; watch ID then ends when the execution has.`,
		Example: `  senpuki watch
  senpuki watch order-17
  senpuki watch --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeIDs(),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
				id := ""
				if len(args) == 1 {
					x, err := resolve(ctx, eng, args[0])
					if err != nil {
						return err
					}
					id = x.ID
				}
				w := &watcher{eng: eng, store: store}
				if a.json || !a.live(a.out) {
					return a.watchLines(ctx, w, id)
				}
				return a.watchScreen(ctx, w, id)
			})
		},
	}
}

// watcher looks at a database.
type watcher struct {
	eng   *engine.Engine
	store backend.Store
}

// snapshot is what one look has shown.
type snapshot struct {
	at         time.Time
	executions []engine.Execution
	stats      backend.Stats
	tasks      []backend.Task
	letters    []engine.Letter
	workers    []engine.SessionInfo
	one        *engine.History // of the execution that is open
	logs       []engine.LogLine
	err        error
}

// look reads everything that is shown; open is the execution whose steps are.
func (w *watcher) look(ctx context.Context, states []backend.State, open string) (s snapshot) {
	s.at = time.Now()
	fail := func(err error) {
		if s.err == nil {
			s.err = err
		}
	}
	if open != "" {
		h, err := w.eng.History(ctx, open)
		fail(err)
		s.one = &h
		s.logs, err = w.eng.Logs(ctx, open, engine.LogPosition{})
		fail(err)
		return s
	}
	var err error
	s.executions, err = w.eng.List(ctx, backend.Filter{States: states, Limit: watchRows})
	fail(err)
	s.stats, err = w.store.Stats(ctx, s.at.Add(-watchSpan))
	fail(err)
	s.tasks, err = w.store.Tasks(ctx, backend.TaskFilter{Limit: 50, Bare: true})
	fail(err)
	s.letters, err = w.eng.Letters(ctx, backend.LetterFilter{Limit: 20})
	fail(err)
	s.workers, err = offers(ctx, w.eng)
	fail(err)
	return s
}

// watchScreen shows the view until it is left.
func (a *app) watchScreen(ctx context.Context, w *watcher, id string) error {
	m := &watchModel{ctx: ctx, watcher: w, open: id, alone: id != "", width: 80, height: 24}
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(a.in), tea.WithOutput(a.out.to)}
	_, err := tea.NewProgram(m, options...).Run()
	if errors.Is(err, tea.ErrInterrupted) || errors.Is(err, tea.ErrProgramKilled) || ctx.Err() != nil {
		return nil
	}
	return err
}

// watchLines prints what has changed.
func (a *app) watchLines(ctx context.Context, w *watcher, id string) error {
	seen, away := map[string]string(nil), a.outage()
	for {
		s := w.look(ctx, nil, id)
		if ctx.Err() != nil {
			return nil
		}
		if !away.is(s.err) && s.err != nil {
			return s.err
		}
		list := s.executions
		if s.one != nil {
			list = []engine.Execution{s.one.Execution}
		}
		now := make(map[string]string, len(list)) // those that are listed no more are forgotten
		for i := len(list) - 1; i >= 0; i-- {
			line, err := a.watchLine(list[i])
			if err != nil {
				return err
			}
			id := list[i].ID
			now[id] = line
			switch {
			case seen[id] == line:
			case a.json:
				fmt.Fprintln(a.out, line)
			default:
				fmt.Fprintln(a.out, s.at.Format("15:04:05"), line)
			}
		}
		if err := a.out.failed(); err != nil {
			return err
		}
		if s.err == nil {
			seen = now
		}
		if s.one != nil && s.one.Execution.State.Terminal() {
			return nil
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// watchLine is an execution in a line that stays as it is while the execution does.
func (a *app) watchLine(x engine.Execution) (string, error) {
	if a.json {
		raw, err := marshal(x)
		return string(raw), err
	}
	words := []string{x.ID, x.Workflow, stateText(x)}
	for _, more := range []string{shownText(x.Shown), noteDue(x, "due at "+x.Due.Local().Format(time.DateTime))} {
		if more != "" {
			words = append(words, oneLine(more, 0))
		}
	}
	return strings.Join(words, " "), nil
}
