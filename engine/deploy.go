// Programs: loading them from files, checking them, storing them, naming them.

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/scripts"
	"github.com/senpuki/senpuki/starlark"
)

// Program is a checked load closure that may be stored and run.
type Program struct {
	Workflow string // the file's name without .star
	Digest   string
	Warnings starlark.Problems
	Compiled *starlark.Program

	sources  *starlark.Sources
	problems starlark.Problems // that kept it from being loaded
}

// Load reads a script and what it loads, and compiles it; top-level prints are shown now, and once. It needs no store. What is
// wrong with the text comes back as starlark.Problems, with a Program whose Check finds the rest.
func Load(ctx context.Context, fsys fs.FS, entry string) (Program, error) {
	return load(ctx, fsys, entry, starlark.Compile)
}

// Load is the function Load, and Check against the activities of the registry.
func (e *Engine) Load(ctx context.Context, fsys fs.FS, entry string) (Program, error) {
	p, err := load(ctx, fsys, entry, e.cache.Compile)
	if found := p.Check(Activities{Registry: e.registry}); found != nil {
		err = found
	}
	if err != nil {
		return Program{}, err
	}
	return p, nil
}

func load(ctx context.Context, fsys fs.FS, entry string, compile func(*starlark.Sources) (*starlark.Program, error)) (p Program, err error) {
	entry = path.Clean(entry)
	p.Workflow = strings.TrimSuffix(path.Base(entry), ".star")
	if p.Workflow == "" {
		return p, fmt.Errorf("%s has no name before .star, and a workflow is named by it", entry)
	}
	p.sources, err = starlark.Gather(entry, func(name string) (string, error) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		return readSource(fsys, name)
	})
	if err == nil {
		p.Compiled, err = compile(p.sources)
	}
	if err != nil {
		errors.As(err, &p.problems)
		return p, err
	}
	p.Digest, p.Warnings = p.Compiled.Digest(), p.Compiled.Warnings()
	return p, nil
}

// Activities are those that a script may call. Of the zero value nothing is known, and no call is refused.
type Activities struct {
	Registry *activities.Registry // of this process; it tells the parameters of those that it has
	Names    []string             // all that there are, unless nil: the registry's
	Offers   []SessionInfo        // of live workers, beside the registry. A call is refused unless it can run here or one of them serves its queue:
	Queue    string               // the script's, or else this one, the execution's; "": any
}

// Check looks for calls that will fail: of built-ins and the script's functions, and of activities. What kept the script from
// being loaded hides nothing else: it comes with what can be told all the same. The error is starlark.Problems.
func (p Program) Check(all Activities) error {
	var calls []starlark.Call
	var mistakes starlark.Problems
	switch {
	case p.Compiled != nil:
		calls, mistakes = p.Compiled.Calls(), p.Compiled.Mistakes()
	case p.sources != nil:
		calls, mistakes = starlark.Judge(p.sources, p.problems)
	}
	if problems := slices.Concat(p.problems, mistakes, checkCalls(calls, &all)); len(problems) > 0 {
		return problems.Sorted()
	}
	return nil
}

// maxSource is how many bytes a file of a program may have: it is kept with each version.
const maxSource = 16 << 20

// readSource reads a file of the workspace or of the standard library.
func readSource(fsys fs.FS, name string) (string, error) {
	if strings.HasPrefix(name, "@") {
		text, err := scripts.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = &starlark.MissingFile{Have: scripts.Names()}
		}
		return text, err
	}
	info, err := fs.Stat(fsys, name)
	if err == nil && !info.IsDir() {
		switch {
		case !info.Mode().IsRegular():
			return "", errors.New("it is no regular file") // a pipe would be waited for
		case info.Size() > maxSource:
			return "", fmt.Errorf("it has %d MB; a script has up to %d (let an activity read what is data)", info.Size()>>20, maxSource>>20)
		}
	}
	b, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = &starlark.MissingFile{Have: loadable(fsys)}
	}
	return string(b), err
}

// loadable lists the files of a workspace that scripts may load, as far as a short look finds them.
func loadable(fsys fs.FS) (names []string) {
	looked := 0
	_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if looked++; looked > 5000 {
			return fs.SkipAll
		}
		switch {
		case err != nil: // a directory that cannot be read has no suggestions
			return fs.SkipDir
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && (path.Ext(name) == ".star" || path.Ext(name) == ".json"):
			names = append(names, name)
		}
		return nil
	})
	return names
}

// checkCalls compares a script's calls with the activities that there are.
func checkCalls(calls []starlark.Call, all *Activities) starlark.Problems {
	if all.Registry == nil && all.Names == nil {
		return nil
	}
	var problems starlark.Problems
	for _, c := range calls {
		p := starlark.Problem{File: c.File, Line: c.Line, Col: c.Col, Severity: "error"}
		there := all.has(c.Activity)
		switch {
		case !there && c.Declaration:
			at, queues, served := all.served(&c)
			if served {
				continue
			}
			p.Activity, p.Message = c.Activity, all.unknown(c.Activity)
			if len(queues) > 0 {
				p.Message = fmt.Sprintf("no live worker offers %q on queue %s, where the call goes; it is offered on %s",
					c.Activity, at, strings.Join(queues, ", "))
			}
		case !there || c.Declaration:
			continue
		default:
			act, ok := all.lookup(c.Activity)
			if !ok {
				continue
			}
			err := act.CheckCall(c.Args, c.Keywords, c.Open)
			if err == nil {
				continue
			}
			p.Message = failureOf(err).Message
		}
		problems = append(problems, p)
	}
	return problems
}

func (o *Activities) lookup(name string) (*activities.Activity, bool) {
	if o.Registry == nil {
		return nil, false
	}
	return o.Registry.Lookup(name)
}

func (o *Activities) has(name string) bool {
	if o.Names != nil {
		return slices.Contains(o.Names, name)
	}
	_, ok := o.lookup(name)
	return ok
}

// served reports whether a live worker may run what a declaration declares, on which queue the call goes, and on which there
// are any that offer it.
func (o *Activities) served(c *starlark.Call) (at string, queues []string, served bool) {
	at = cmp.Or(c.Queue, o.Queue)
	for i := range o.Offers {
		if there := o.Offers[i].Options[c.Activity]; c.Queue == "" && there.Queue != "" {
			at = there.Queue
		}
	}
	for i := range o.Offers {
		if w := &o.Offers[i]; !w.Hold && slices.Contains(w.Activities, c.Activity) {
			served = served || at == "" || c.AnyQueue || slices.Contains(w.Queues, at)
			queues = append(queues, w.Queues...)
		}
	}
	return at, slices.Compact(slices.Sorted(slices.Values(queues))), served
}

func (o *Activities) unknown(name string) string {
	switch {
	case o.Names == nil:
		return unregistered(name, o.Registry.Names())
	case len(o.Names) == 0:
		return unknownActivity(name, nil, "no live worker offers any")
	}
	return unknownActivity(name, slices.Compact(slices.Sorted(slices.Values(o.Names))), "there are ")
}

// unregistered is the message for a name that is not among those that this program registers.
func unregistered(name string, there []string) string {
	if len(there) == 0 {
		return unknownActivity(name, nil, "this program registers none")
	}
	return unknownActivity(name, there, "this program registers ")
}

// unknownActivity is the message for a name that is not among those that there are.
func unknownActivity(name string, there []string, all string) string {
	text := fmt.Sprintf("unknown activity %q; ", name)
	if near := activities.Nearest(name, there); len(near) > 0 {
		return text + "did you mean " + strings.Join(near, ", ") + "?"
	}
	return text + all + strings.Join(there, ", ")
}

// record is the program as it is stored.
func (p Program) record() (backend.Program, error) {
	if p.Compiled == nil {
		return backend.Program{}, fmt.Errorf("program %s was not made by Load", p.Workflow)
	}
	b, err := encodeSources(p.sources)
	return backend.Program{Digest: p.Digest, Sources: b}, err
}

// Store stores a program without giving it a name; Dispatch runs it by digest. The
// engine runs what was compiled by Load, whichever engine's that was.
func (e *Engine) Store(ctx context.Context, p Program) error {
	rec, err := p.record()
	if err != nil {
		return err
	}
	if _, err = e.store.Deploy(ctx, []backend.Program{rec}, nil); err != nil {
		return err
	}
	e.cache.Add(p.Compiled)
	return nil
}

// DeployOptions say what is remembered about a deployment. The zero value is useful.
type DeployOptions struct {
	By, Note string
	// RequireCompatible refuses, with an *IncompatibleError, when the journal of any
	// running execution of the workflows does not replay on the new code.
	RequireCompatible bool
}

// Deploy loads scripts and makes each the newest code of the workflow that is
// named after its file. Nothing is stored when any of them has a problem;
// unchanged code is left as it stands.
func (e *Engine) Deploy(ctx context.Context, fsys fs.FS, entries ...string) ([]backend.Deployment, error) {
	return e.DeployWith(ctx, fsys, DeployOptions{}, entries...)
}

// DeployWith is Deploy with what is remembered about it.
func (e *Engine) DeployWith(ctx context.Context, fsys fs.FS, o DeployOptions, entries ...string) ([]backend.Deployment, error) {
	var problems starlark.Problems
	var programs []Program
	for _, entry := range entries {
		p, err := e.Load(ctx, fsys, entry)
		if found, ok := errors.AsType[starlark.Problems](err); ok {
			problems = append(problems, found...)
		} else if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	if len(problems) > 0 {
		return nil, problems.Sorted()
	}
	return e.Publish(ctx, o, programs...)
}

// Publish makes each program the newest code of the workflow that its field Workflow names. It checks no calls: that is
// for the one who knows where they will run.
func (e *Engine) Publish(ctx context.Context, o DeployOptions, programs ...Program) ([]backend.Deployment, error) {
	var records []backend.Program
	var deployments []backend.Deployment
	files := make(map[string]string)
	for _, p := range programs {
		rec, err := p.record()
		if err != nil {
			return nil, err
		}
		if other, twice := files[p.Workflow]; twice {
			return nil, fmt.Errorf("%s and %s are both workflow %q; nothing was deployed", other, p.sources.Entry, p.Workflow)
		}
		files[p.Workflow] = p.sources.Entry
		e.cache.Add(p.Compiled)
		records = append(records, rec)
		deployments = append(deployments, backend.Deployment{Workflow: p.Workflow, Digest: p.Digest, By: o.By, Note: o.Note})
	}
	if o.RequireCompatible {
		if err := e.compatible(ctx, deployments); err != nil {
			return nil, err
		}
	}
	stored, err := e.store.Deploy(ctx, records, deployments)
	e.mu.Lock()
	e.deploys++
	clear(e.newest)
	e.mu.Unlock()
	return stored, err
}
