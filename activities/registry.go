// The registry: names of activities.

package activities

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
)

// Registry maps names to activities. It is safe for concurrent use. Use [NewRegistry].
type Registry struct {
	mu     sync.RWMutex // guards all below
	byName map[string]*Activity
	names  []string // sorted
	around Around   // nil: nothing
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{byName: map[string]*Activity{}}
}

var activityName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

// Register adds a function under a name. At most one Options is taken. The
// error says what is wrong with the name, the signature or the options.
func (r *Registry) Register(name string, fn any, opts ...Options) error {
	return r.add(name, opts, func(o Options) (*Activity, error) { return newActivity(name, fn, o) })
}

// add makes an activity and adds it.
func (r *Registry) add(name string, opts []Options, build func(Options) (*Activity, error)) error {
	var o Options
	switch len(opts) {
	case 0:
	case 1:
		o = opts[0]
	default:
		return fmt.Errorf("activity %q: one Options at most, got %d", name, len(opts))
	}
	if !activityName.MatchString(name) {
		return fmt.Errorf("activity %q: a name is letters, digits and _ . / - and begins with a letter", name)
	}
	a, err := build(o)
	if err != nil {
		return fmt.Errorf("activity %q: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.byName[name]; there {
		return fmt.Errorf("activity %q: %w", name, ErrRegistered)
	}
	r.byName[name] = a.within(r.around)
	n, _ := slices.BinarySearch(r.names, name)
	r.names = slices.Insert(r.names, n, name)
	return nil
}

// ErrRegistered is what Register wraps when the name is taken.
var ErrRegistered = errors.New("the name is registered already")

// MustRegister is Register for main functions and tests.
func (r *Registry) MustRegister(name string, fn any, opts ...Options) {
	if err := r.Register(name, fn, opts...); err != nil {
		panic(err)
	}
}

// Lookup finds an activity by its exact name.
func (r *Registry) Lookup(name string) (*Activity, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	a, ok := r.byName[name]
	return a, ok
}

// Names are all names, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.names)
}

// Nearest are the names of a list most like name, best first, at most three.
func Nearest(name string, names []string) []string { return nearest(name, names, 3) }
