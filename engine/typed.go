// Results as Go values.

package engine

import (
	"context"
	"encoding/json"
	"fmt"
)

// ResultAs waits for the end of an execution and decodes its result. The error of one that has not
// completed is its *activities.Failure.
func ResultAs[T any](ctx context.Context, e *Engine, id string) (T, error) {
	var v T
	x, err := e.Wait(ctx, id)
	switch {
	case err != nil:
		return v, err
	case x.Failure != nil:
		return v, fmt.Errorf("execution %s is %s: %w", id, x.State, x.Failure)
	}
	if err := json.Unmarshal(x.Result, &v); err != nil {
		return v, fmt.Errorf("result of execution %s: %w", id, err)
	}
	return v, nil
}
