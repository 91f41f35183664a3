// Execution ids by unique prefix.

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// resolve finds the execution that an id, or a prefix that is one's alone, names.
func resolve(ctx context.Context, eng *engine.Engine, prefix string) (engine.Execution, error) {
	if prefix == "" {
		return engine.Execution{}, usage("the id is empty")
	}
	x, err := eng.State(ctx, prefix)
	if err == nil || !errors.Is(err, backend.ErrNotFound) {
		return x, err
	}
	const shown = 10
	found, err := eng.List(ctx, backend.Filter{IDPrefix: prefix, Limit: shown + 1})
	switch {
	case err != nil:
		return engine.Execution{}, err
	case len(found) == 0:
		return engine.Execution{}, fmt.Errorf("there is no execution %s; 'senpuki list' lists them", prefix)
	case len(found) == 1:
		return eng.State(ctx, found[0].ID)
	}
	var b strings.Builder
	for i, x := range found {
		if i == shown {
			b.WriteString("\n  and more")
			break
		}
		fmt.Fprintf(&b, "\n  %s  %s, %s, %s", x.ID, x.Workflow, stateText(x), ago(x.Created, time.Now()))
	}
	return engine.Execution{}, usage("%s is the beginning of several ids:%s", prefix, b.String())
}

// each does something with each of some ids, whatever becomes of the others, until ctx ends or the database is away; then it names
// those that are left.
func each(ctx context.Context, ids []string, do func(id string) error) (failed error) {
	for i, id := range ids {
		err := do(id)
		failed = errors.Join(failed, err)
		if left := ids[i+1:]; len(left) > 0 && (ctx.Err() != nil || errors.Is(err, backend.ErrTransient)) {
			return errors.Join(failed, fmt.Errorf("nothing was done with %s", strings.Join(left, " ")))
		}
	}
	return failed
}
