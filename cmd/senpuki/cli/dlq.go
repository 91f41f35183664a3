// senpuki dlq: steps whose attempts are used up.

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) dlqCommand() *cobra.Command {
	var execution, queue, args string
	var p page
	var all bool
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List dead letters, newest first", Example: "  senpuki dlq list --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.dlqList(c.Context(), execution, &p) },
	}
	list.Flags().StringVar(&execution, "execution", "", "id of the execution")
	p.register(list.Flags())
	_ = list.RegisterFlagCompletionFunc("execution", a.ids) // the flag exists
	show := &cobra.Command{
		Use: "show ID", Short: "Show a dead letter: arguments, error, execution, source line", Example: "  senpuki dlq show 3", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.dlqShow(c.Context(), args[0]) },
	}
	replay := &cobra.Command{
		Use: "replay ID|--all", Short: "Run dead letters again",
		Long: `Run dead letters again. An execution that failed on one goes on from it; one whose
failure the script has caught runs as an execution of its own, with the options of its step. The letter is discarded.
It prints the id of the execution.`,
		Example: "  senpuki dlq replay 3\n  senpuki dlq replay 3 --queue slow --args '[17]'\n  senpuki dlq replay --all", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, ids []string) error {
			o := engine.ReplayOptions{Queue: queue}
			if queue != "" {
				if err := checkNames("--queue", queue); err != nil {
					return err
				}
			}
			if args != "" {
				o.Args = json.RawMessage(args)
				if err := checkJSON(o.Args); err != nil || !strings.HasPrefix(strings.TrimSpace(args), "[") {
					return usage("--args is not a JSON array: %s", args)
				}
			}
			return a.letters(c.Context(), ids, all, func(eng *engine.Engine, _ backend.Store, l engine.Letter) (string, string, error) {
				id, err := eng.ReplayLetter(c.Context(), l, o)
				return id, fmt.Sprintf("dead letter %d runs as %s", l.ID, id), err
			})
		},
	}
	replay.Flags().BoolVar(&all, "all", false, "all of them")
	replay.Flags().StringVar(&queue, "queue", "", "run it on this queue")
	replay.Flags().StringVar(&args, "args", "", "other arguments, a JSON array; it runs as an execution of its own")
	discard := &cobra.Command{
		Use: "discard ID|--all", Short: "Remove dead letters", Example: "  senpuki dlq discard 3\n  senpuki dlq discard --all", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, ids []string) error {
			return a.letters(c.Context(), ids, all, func(_ *engine.Engine, store backend.Store, l engine.Letter) (string, string, error) {
				_, err := store.Discard(c.Context(), []int64{l.ID})
				return "", fmt.Sprintf("dead letter %d discarded", l.ID), err
			})
		},
	}
	discard.Flags().BoolVar(&all, "all", false, "all of them")
	return groupCommand("dlq", "List, show, replay and discard dead letters", "  senpuki dlq list\n  senpuki dlq replay --all", list, show, replay, discard)
}

// letterView is a dead letter in JSON.
type letterView struct {
	ID        int64           `json:"id"`
	Execution string          `json:"execution"`
	Step      string          `json:"step"`
	Activity  string          `json:"activity"`
	Attempts  int             `json:"attempts"`
	At        time.Time       `json:"at"`
	Failure   any             `json:"failure"`
	Args      json.RawMessage `json:"args"`
	Kwargs    json.RawMessage `json:"kwargs,omitempty"`
	Pos       string          `json:"pos,omitempty"`
	Damaged   string          `json:"damaged,omitempty"` // columns that cannot be read
}

// shownLetter is what dlq show --json prints.
type shownLetter struct {
	letterView
	History []engine.Step `json:"history,omitempty"` // the step with its attempts, while the journal has it
}

// movedLetter is a dead letter that was replayed or discarded.
type movedLetter struct {
	letterView
	RunsAs string `json:"runs_as,omitempty"` // of one that was replayed: the id of the execution
}

func viewLetter(l engine.Letter) letterView {
	return letterView{
		ID: l.ID, Execution: l.Execution, Step: l.Step, Activity: l.Activity, Attempts: l.Attempts, At: l.At, Failure: l.Failure,
		Args: l.Args, Kwargs: l.Kwargs, Pos: l.Pos, Damaged: l.Damage,
	}
}

func (a *app) dlqList(ctx context.Context, execution string, p *page) error {
	limit, err := p.ask(a.json)
	if err != nil {
		return err
	}
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		found, err := eng.Letters(ctx, backend.LetterFilter{Execution: execution, Limit: limit})
		if err != nil {
			return err
		}
		found, more := cut(p, found)
		if a.json {
			list := make([]letterView, len(found))
			for i, l := range found {
				list[i] = viewLetter(l)
			}
			return a.printDocument(list)
		}
		if len(found) == 0 {
			fmt.Fprintln(a.err, "no dead letters")
			return nil
		}
		t := table{head: []string{"ID", "ACTIVITY", "EXECUTION", "STEP", "ATTEMPTS", "WHEN", "ERROR"}, fixed: 1}
		for _, l := range found {
			why := failureText(l.Failure)
			if l.Damage != "" {
				why = "damaged: " + l.Damage
			}
			t.row(strconv.FormatInt(l.ID, 10), l.Activity, l.Execution, l.Step, strconv.Itoa(l.Attempts), ago(l.At, time.Now()), oneLine(why, 60))
		}
		t.write(a.out, a.color())
		a.tellMore(more, len(found))
		return nil
	})
}

// letter finds a dead letter by the id that was typed.
func letter(ctx context.Context, eng *engine.Engine, word string) (engine.Letter, error) {
	id, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return engine.Letter{}, usage("%q is not the id of a dead letter; 'senpuki dlq list' shows them", word)
	}
	var found []engine.Letter
	if id > 0 { // the filter's zero is all
		if found, err = eng.Letters(ctx, backend.LetterFilter{ID: id}); err != nil {
			return engine.Letter{}, err
		}
	}
	if len(found) == 0 {
		return engine.Letter{}, fmt.Errorf("there is no dead letter %d; it may have been replayed or discarded", id)
	}
	return found[0], nil
}

func (a *app) dlqShow(ctx context.Context, word string) error {
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		l, err := letter(ctx, eng, word)
		if err != nil {
			return err
		}
		v := shownLetter{letterView: viewLetter(l)}
		h, err := eng.History(ctx, l.Execution)
		if err == nil {
			for _, s := range h.Steps {
				if s.Step == l.Step && s.Name == l.Activity {
					v.History = append(v.History, s)
				}
			}
		}
		if a.json {
			return a.printDocument(v)
		}
		for _, line := range [][2]string{
			{"id", word}, {"activity", l.Activity}, {"args", string(l.Args)}, {"kwargs", string(l.Kwargs)}, {"execution", l.Execution},
			{"step", l.Step}, {"attempts", strconv.Itoa(l.Attempts)}, {"when", moment(l.At, time.Now())}, {"asked at", l.Pos}, {"damaged", l.Damage},
		} {
			if line[1] != "" {
				fmt.Fprintf(a.out, "%-10s %s\n", line[0], legible(line[1]))
			}
		}
		fmt.Fprintln(a.out)
		if l.Failure != nil {
			writeFailure(a.out, l.Failure)
		}
		a.showSteps(v.History, true, time.Now())
		return nil
	})
}

// letters does something with one dead letter or with all: do returns the execution that it runs as, if it does, and a line about it.
func (a *app) letters(ctx context.Context, ids []string, all bool, do func(*engine.Engine, backend.Store, engine.Letter) (id, said string, err error)) error {
	if all == (len(ids) > 0) {
		return usage("name one dead letter, or --all")
	}
	return a.change(ctx, func(eng *engine.Engine, store backend.Store) error {
		var list []engine.Letter
		var err error
		if all {
			list, err = eng.Letters(ctx, backend.LetterFilter{})
			slices.Reverse(list)
		} else {
			var one engine.Letter
			one, err = letter(ctx, eng, ids[0])
			list = []engine.Letter{one}
		}
		if err != nil {
			return err
		}
		var left error
		views := []movedLetter{}
		for _, l := range list {
			id, said, failed := do(eng, store, l)
			switch {
			case all && errors.Is(failed, backend.ErrNotFound): // it went with the retry of one before
				continue
			case all && (errors.Is(failed, engine.ErrRunAgain) || l.Damage != "" && failed != nil): // no reason to leave the others
				left = errors.Join(left, failed)
				continue
			}
			if err = failed; err != nil { // those before it are done: they are told
				break
			}
			views = append(views, movedLetter{viewLetter(l), id})
			fmt.Fprintln(a.err, said)
			if id != "" && !a.json {
				fmt.Fprintln(a.out, id)
			}
		}
		if a.json {
			err = errors.Join(a.printDocument(views), err)
		}
		return errors.Join(left, err)
	})
}
