// Activities that take any arguments, and registries whose attempts go through one function.

package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Call is the call of an activity as plain JSON.
type Call struct {
	Activity string
	Args     json.RawMessage // array of the positional arguments
	Kwargs   json.RawMessage // object of the keyword arguments, nil when none
}

// OpenFunc is an activity that takes any arguments: a bridge to something that checks them itself, or a double.
type OpenFunc func(ctx context.Context, c Call) (any, error)

// RegisterOpen adds a function that takes any arguments. At most one Options is taken.
func (r *Registry) RegisterOpen(name string, fn OpenFunc, opts ...Options) error {
	if fn == nil {
		return fmt.Errorf("activity %q: the function is nil", name)
	}
	return r.add(name, opts, func(o Options) (*Activity, error) {
		return &Activity{name: name, opts: o, open: fn}, o.Validate()
	})
}

// Around stands around every attempt of a registry: it calls next, which runs the activity, or answers in its place.
type Around func(ctx context.Context, c Call, next func(context.Context) ([]byte, *Failure)) ([]byte, *Failure)

// Wrap returns a copy of the registry, all of whose activities, also those registered in it later,
// run within around. The arguments of calls are checked as before.
func (r *Registry) Wrap(around Around) *Registry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	wrapped := NewRegistry()
	wrapped.around = around
	wrapped.names = slices.Clone(r.names)
	for name, a := range r.byName {
		wrapped.byName[name] = a.within(around)
	}
	return wrapped
}

// within is the activity with around standing around those that stand around it already.
func (a *Activity) within(around Around) *Activity {
	if around == nil {
		return a
	}
	inner := a.around
	b := *a
	b.around = around
	if inner != nil {
		b.around = func(ctx context.Context, c Call, next func(context.Context) ([]byte, *Failure)) ([]byte, *Failure) {
			return around(ctx, c, func(ctx context.Context) ([]byte, *Failure) { return inner(ctx, c, next) })
		}
	}
	return &b
}
