// senpuki replay: a journal run again, without effects.

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

func (a *app) replayCommand() *cobra.Command {
	var o engine.RetraceOptions
	var code string
	c := &cobra.Command{
		Use:   "replay ID [flags]",
		Short: "Run the journal of an execution again, without effects, and say whether it holds",
		Long: `Run the journal of an execution again, here, in memory and without effects, on the code
that it is pinned to or with --code on other code. It prints the steps that the code
asked for, with what came of them, and says whether the journal holds; it exits with 1 when it
does not. --until stops at the call of a step, --locals prints the variables of every function
under way there.`,
		Example: `  senpuki replay order-17
  senpuki replay order-17 --code order.star
  senpuki replay order-17 --until 4 --locals`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(),
		RunE: func(c *cobra.Command, args []string) error {
			return a.replay(c.Context(), args[0], code, o)
		},
	}
	c.Flags().StringVar(&code, "code", "", "a .star file to replay on; it is not stored")
	c.Flags().StringVar(&o.Until, "until", "", "stop at the call of this step")
	c.Flags().BoolVar(&o.Locals, "locals", false, "print the variables at the last step")
	return c
}

func (a *app) replay(ctx context.Context, prefix, code string, o engine.RetraceOptions) error {
	if code != "" {
		s, err := findScript(code)
		if err != nil {
			return err
		}
		p, err := a.mustLoad(ctx, s)
		if err != nil {
			return err
		}
		o.Code = &p
	}
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		r, err := eng.Retrace(ctx, x.ID, o)
		if err != nil {
			return err
		}
		if a.json {
			err = a.printDocument(r)
		} else {
			a.printReplay(&r, o)
		}
		if err == nil && !r.Fits {
			err = &exitError{status: exitFailed}
		}
		return err
	})
}

func (a *app) printReplay(r *engine.Retraced, o engine.RetraceOptions) {
	const room = 60
	t := table{head: []string{"STEP", "AT", "ASKED", "TOOK", "CALL", "OUTCOME"}, fixed: 1}
	for _, s := range r.Steps {
		outcome := s.State
		switch {
		case o.Until == s.Step:
			outcome = "<- here"
		case s.Failure != nil:
			outcome = oneLine(failureText(s.Failure), room)
		case s.State == "done":
			outcome = "= " + oneLine(string(s.Value), room)
		}
		took := "-"
		if !s.Ended.IsZero() {
			took = duration(s.Ended.Sub(s.Asked).Truncate(time.Microsecond))
		}
		t.row(s.Step, s.Pos, s.Asked.Local().Format("15:04:05.000"), took, oneLine(callOf(&s), room), outcome)
	}
	if len(t.rows) > 0 {
		t.write(a.out, a.color())
	}
	for _, f := range r.Frames {
		fmt.Fprintf(a.out, "\n%s at %s\n", f.Function, f.Pos)
		a.printVariables(f.Variables)
	}
	if len(t.rows)+len(r.Frames) > 0 {
		fmt.Fprintln(a.out)
	}
	switch {
	case !r.Fits:
		fmt.Fprintf(a.out, "%s: %s\n", r.ID, legible(r.Reason))
	case o.Until != "":
		fmt.Fprintf(a.out, "%s: the journal holds up to step %s\n", r.ID, o.Until)
	default:
		fmt.Fprintf(a.out, "%s: the journal holds\n", r.ID)
	}
}

func (a *app) printVariables(list []starlark.Variable) {
	for _, v := range list {
		captured := ""
		if v.Captured {
			captured = "  (captured)"
		}
		fmt.Fprintf(a.out, "  %s = %s%s\n", v.Name, legible(strings.ReplaceAll(v.Value, "\n", "\\n")), captured)
	}
}

// callOf is a step as a call: its name and arguments.
func callOf(s *engine.Step) string {
	args := strings.TrimSuffix(strings.TrimPrefix(string(s.Args), "["), "]")
	if len(s.Kwargs) > 0 {
		args = strings.TrimPrefix(args+", "+string(s.Kwargs), ", ")
	}
	switch starlark.CommandKind(s.Kind) {
	case starlark.CallActivity, starlark.StartChild:
		return s.Name + "(" + args + ")"
	case starlark.StartTimer:
		return "sleep"
	}
	return strings.TrimSpace(s.Kind + " " + s.Name + " " + s.Target)
}
