// Reading without changing anything.

package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/senpuki/senpuki/backend"
)

// Execution returns one execution.
func (s *Store) Execution(_ context.Context, id string) (backend.Execution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.executions[id]
	if x == nil {
		return backend.Execution{}, backend.ErrNotFound
	}
	return x.view(), nil
}

// List returns executions, newest first.
func (s *Store) List(_ context.Context, f backend.Filter) ([]backend.Execution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []backend.Execution
	for _, x := range s.executions {
		if selected(&x.Execution, &f) {
			list = append(list, x.view())
		}
	}
	slices.SortFunc(list, func(a, b backend.Execution) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.ID, a.ID))
	})
	return first(list, f.Limit), nil
}

// first is as many of a list as a limit allows; zero is none.
func first[T any](list []T, limit int) []T {
	if limit == 0 {
		return list
	}
	return list[:min(len(list), limit)]
}

func selected(x *backend.Execution, f *backend.Filter) bool {
	switch {
	case (f.Stuck || len(f.States) > 0) && !(f.Stuck && x.Stuck != nil) && !slices.Contains(f.States, x.State),
		f.Workflow != "" && x.Workflow != f.Workflow,
		f.Queue != "" && x.Queue != f.Queue,
		f.Tag != "" && !slices.Contains(x.Tags, f.Tag),
		f.Parent != "" && x.Parent != f.Parent,
		f.Owner != 0 && x.Owner != f.Owner,
		f.IDs != nil && !slices.Contains(f.IDs, x.ID),
		x.Created.Before(f.Since),
		!strings.HasPrefix(x.ID, f.IDPrefix):
		return false
	case f.BeforeAt.IsZero():
		return true
	}
	return cmp.Or(x.Created.Compare(f.BeforeAt), strings.Compare(x.ID, f.BeforeID)) < 0
}

// Journal reads the rows of a run.
func (s *Store) Journal(_ context.Context, key backend.RunKey, from int64, row func(backend.Row) error) error {
	s.mu.Lock()
	var rows []backend.Row
	if r := s.runs[key]; r != nil && from < int64(len(r.rows)) {
		rows = slices.Clone(r.rows[max(from, 0):])
	}
	s.mu.Unlock()
	for _, r := range rows {
		r.Data = clone(r.Data)
		if err := row(r); err != nil {
			return err
		}
	}
	return nil
}

// Runs lists the runs of an execution.
func (s *Store) Runs(_ context.Context, id string, from int) ([]backend.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []backend.Run
	for key, r := range s.runs {
		if r.execution == id && r.number >= from {
			list = append(list, backend.Run{Key: key, Number: r.number, Created: r.created})
		}
	}
	slices.SortFunc(list, func(a, b backend.Run) int { return cmp.Compare(a.Number, b.Number) })
	return list, nil
}

// Logs reads the log lines of a run.
func (s *Store) Logs(_ context.Context, key backend.RunKey, from int64, limit int) ([]backend.LogLine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []backend.LogLine
	if r := s.runs[key]; r != nil {
		for _, l := range r.logs {
			if l.Ordinal >= from {
				l.Fields = clone(l.Fields)
				lines = append(lines, l)
			}
		}
	}
	return first(lines, limit), nil
}

// Program returns a stored program.
func (s *Store) Program(_ context.Context, digest string) (backend.Program, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.programs[digest]
	if !ok {
		return p, backend.ErrNotFound
	}
	p.Sources = clone(p.Sources)
	return p, nil
}

// Programs returns programs by digest.
func (s *Store) Programs(_ context.Context, after string, limit int) (list []backend.Program, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, digest := range slices.Sorted(maps.Keys(s.programs)) {
		if digest > after && (limit == 0 || len(list) < limit) {
			p := s.programs[digest]
			p.Sources = clone(p.Sources)
			list = append(list, p)
		}
	}
	return list, nil
}

// Deployments returns the deployments of one workflow, or the newest of each.
func (s *Store) Deployments(_ context.Context, workflow string) ([]backend.Deployment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if workflow != "" {
		list := slices.Clone(s.deployments[workflow])
		slices.Reverse(list)
		return list, nil
	}
	var list []backend.Deployment
	for _, name := range slices.Sorted(maps.Keys(s.deployments)) {
		all := s.deployments[name]
		list = append(list, all[len(all)-1])
	}
	return list, nil
}

// view is a copy of the execution's record.
func (x *execution) view() backend.Execution {
	v := x.Execution
	v.Input, v.Result, v.Failure, v.Published = clone(v.Input), clone(v.Result), clone(v.Failure), clone(v.Published)
	v.Tags, v.Extra = slices.Clone(v.Tags), clone(v.Extra)
	if x.Stuck != nil {
		stuck := *x.Stuck
		v.Stuck = &stuck
	}
	return v
}
