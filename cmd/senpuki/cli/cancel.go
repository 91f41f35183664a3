// senpuki cancel: ask an execution to cancel itself, or end it at once.

package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) cancelCommand() *cobra.Command {
	var reason string
	var now bool
	c := &cobra.Command{
		Use:   "cancel ID... [flags]",
		Short: "Cancel executions",
		Long: `Cancel executions: a script sees Cancelled at its next wait and may clean up.
With --now it is ended without running the script, which also ends one that is stuck: without it that ends when it is mended. A live process that holds it
carries it out; --now does so here when there is none.
Cancelling one that has ended changes nothing and says how it ended. One of several that cannot be cancelled keeps no other from it.`,
		Example: `  senpuki cancel order-17 --reason "ordered twice"
  senpuki cancel 0190ab --now
  senpuki list --workflow order --state pending --json | jq -r '.[].id' | xargs senpuki cancel`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.idsIn(unfinishedStates),
		RunE: func(c *cobra.Command, ids []string) error {
			return a.change(c.Context(), func(eng *engine.Engine, store backend.Store) error {
				return each(c.Context(), ids, func(id string) error { return a.cancel(c.Context(), eng, store, id, reason, now) })
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the message of the error that the script sees")
	c.Flags().BoolVar(&now, "now", false, "end it without running its script")
	return c
}

func (a *app) cancel(ctx context.Context, eng *engine.Engine, store backend.Store, prefix, reason string, now bool) error {
	x, err := resolve(ctx, eng, prefix)
	if err != nil {
		return err
	}
	if now {
		err = eng.End(ctx, x.ID, reason)
	} else {
		err = eng.Cancel(ctx, x.ID, reason)
	}
	if err != nil && !errors.Is(err, backend.ErrClosed) {
		return err
	}
	closed := err != nil
	if x, err = eng.State(ctx, x.ID); err != nil {
		return err
	}
	if now && !x.State.Terminal() {
		if x, err = a.endHere(ctx, store, x); err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return a.printDocument(x)
	case closed:
		fmt.Fprintf(a.err, "%s has ended already: it is %s\n", x.ID, x.State)
	case now && x.State.Terminal():
		fmt.Fprintf(a.err, "%s is %s\n", x.ID, x.State)
	case !now && x.Stuck != nil && !x.State.Terminal():
		fmt.Fprintf(a.err, "%s is asked to cancel; but it is stuck, and its script cannot see that before it is mended: to end it as it is, %s\n", x.ID, a.hint("cancel "+quote(x.ID)+" --now"))
	case x.Owner == 0 && !x.State.Terminal():
		fmt.Fprintf(a.err, "%s is asked to cancel; a worker or 'senpuki resume %s' carries it out\n", x.ID, x.ID)
	default:
		fmt.Fprintf(a.err, "%s is asked to cancel\n", x.ID)
	}
	return nil
}

// endHere carries out that an execution is ended. As resume does, it takes what nobody holds, or somebody dead, and leaves
// to a live process what that holds. What it returns has ended, is stuck, or is in the hands of such a process.
func (a *app) endHere(ctx context.Context, store backend.Store, x engine.Execution) (engine.Execution, error) {
	d, err := a.newDriver(ctx, store, true)
	if d == nil {
		return x, err
	}
	defer d.close()
	if err == nil {
		err = d.engine.Adopt(ctx, x.ID)
		if errors.Is(err, backend.ErrClosed) { // it has ended meanwhile
			return d.engine.State(ctx, x.ID)
		}
		if err != nil {
			err = fmt.Errorf("it is asked to cancel, but cannot be ended here: %w", err)
		}
	}
	if err == nil {
		tries := 0
		if x.Stuck != nil {
			tries = x.Stuck.Tries
		}
		waiting, leave := context.WithCancelCause(ctx)
		var looking sync.WaitGroup
		looking.Go(func() {
			if !heldAlive(waiting, d, x.ID) {
				return
			}
			limit := time.NewTimer(holderPatience)
			defer limit.Stop()
			select {
			case <-limit.C:
				leave(errHeld)
			case <-waiting.Done():
			}
		})
		x, err = d.wait(waiting, x.ID, tries)
		if err != nil && errors.Is(context.Cause(waiting), errHeld) {
			x, err = d.engine.State(ctx, x.ID)
		}
		leave(nil)
		looking.Wait()
		if err == nil && x.State.Terminal() {
			d.faults.settled()
		}
	}
	if errors.Is(err, errSignal) {
		err = &exitError{exitInterrupted, err}
	}
	return x, err
}

// holderPatience is how long a process that lives is given to end what it holds before that is left to it: most do at once.
const holderPatience = 5 * time.Second

// errHeld says that a live process holds what is waited for.
var errHeld = errors.New("a live process holds it")

// heldAlive returns true when another process that holds an execution is seen to live: its heart beats. A row in the
// database is no sign of life. It returns false when ctx ends.
func heldAlive(ctx context.Context, d *driver, id string) bool {
	const every, patience = 200 * time.Millisecond, time.Second
	look := time.NewTicker(every)
	defer look.Stop()
	beats := make(map[backend.SessionID]int64)
	told := time.Now().Add(patience)
	for {
		x, err := d.engine.State(ctx, id)
		if err == nil && x.Owner != 0 && d.engine.Held() == 0 {
			live, _ := d.engine.Workers(ctx) // it is asked again
			for _, w := range live {
				s := w.Session
				if s.ID != x.Owner {
					continue
				}
				if beat, seen := beats[s.ID]; seen && beat != s.Beat {
					return true
				}
				beats[s.ID] = s.Beat
				if !told.IsZero() && time.Now().After(told) {
					told = time.Time{}
					d.progress.warn(fmt.Sprintf("%s is held by process %d of %s; waiting for a sign of life from it", id, s.PID, s.Host))
				}
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
}
