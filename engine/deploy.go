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

	sources *starlark.Sources
}

// Load reads a script and what it loads, compiles it and checks it against the
// registry. It stores nothing. What is wrong with the script comes back as starlark.Problems.
func (e *Engine) Load(ctx context.Context, fsys fs.FS, entry string) (Program, error) {
	return e.load(ctx, fsys, entry, known{registry: e.registry})
}

// LoadFor is Load for those who run it with other activities than this
// process's: names are all that there are. The registry still tells the
// parameters of those that it has.
func (e *Engine) LoadFor(ctx context.Context, fsys fs.FS, entry string, names []string) (Program, error) {
	return e.load(ctx, fsys, entry, known{registry: e.registry, names: slices.Compact(slices.Sorted(slices.Values(names))), named: true})
}

// LoadServed is Load where live workers offer what this process may lack. A call is refused unless it can run here or one
// of them serves its queue: the script's, or else the execution's; "": any.
func (e *Engine) LoadServed(ctx context.Context, fsys fs.FS, entry, queue string, offers []SessionInfo) (Program, error) {
	return e.load(ctx, fsys, entry, known{registry: e.registry, offers: offers, queue: queue})
}

// known is the activities that a script may call.
type known struct {
	registry *activities.Registry // nil: nothing is known
	names    []string             // when named: all that there are
	named    bool
	offers   []SessionInfo // of live workers, beside the registry
	queue    string        // of the execution, "" when it is not known
}

func (e *Engine) load(ctx context.Context, fsys fs.FS, entry string, there known) (Program, error) {
	entry = path.Clean(entry)
	src, err := starlark.Gather(entry, func(name string) (string, error) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		return readSource(fsys, name)
	})
	var compiled *starlark.Program
	if err == nil {
		compiled, err = e.cache.Compile(src)
	}
	var problems starlark.Problems
	if errors.As(err, &problems) && src != nil { // what keeps it from being loaded hides nothing else
		calls, more := starlark.Judge(src, problems)
		return Program{}, slices.Concat(problems, more, checkCalls(calls, there)).Sorted()
	}
	if err != nil {
		return Program{}, err
	}
	if problems := slices.Concat(compiled.Mistakes(), checkCalls(compiled.Calls(), there)); len(problems) > 0 {
		return Program{}, problems.Sorted()
	}
	return Program{
		Workflow: strings.TrimSuffix(path.Base(entry), ".star"), Digest: compiled.Digest(),
		Warnings: compiled.Warnings(), Compiled: compiled, sources: src,
	}, nil
}

// readSource reads a file of the workspace or of the standard library.
func readSource(fsys fs.FS, name string) (string, error) {
	if strings.HasPrefix(name, "@") {
		text, err := scripts.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = &starlark.MissingFile{Have: scripts.Names()}
		}
		return text, err
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
func checkCalls(calls []starlark.Call, all known) starlark.Problems {
	if all.registry == nil && !all.named {
		return nil
	}
	var problems starlark.Problems
	for _, c := range calls {
		p := starlark.Problem{File: c.File, Line: c.Line, Col: c.Col, Severity: "error"}
		there := all.has(c.Activity)
		switch {
		case !there && c.Declaration:
			queues, served := all.served(&c)
			if served {
				continue
			}
			p.Message = all.unknown(c.Activity)
			if len(queues) > 0 {
				p.Message = fmt.Sprintf("no live worker offers %q on queue %s, where the call goes; it is offered on %s",
					c.Activity, cmp.Or(c.Queue, all.queue), strings.Join(queues, ", "))
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

func (o *known) lookup(name string) (*activities.Activity, bool) {
	if o.registry == nil {
		return nil, false
	}
	return o.registry.Lookup(name)
}

func (o *known) has(name string) bool {
	if o.named {
		return slices.Contains(o.names, name)
	}
	_, ok := o.lookup(name)
	return ok
}

// served reports whether a live worker may run what a declaration declares, and on which queues there are any that offer it.
func (o *known) served(c *starlark.Call) (queues []string, served bool) {
	at := cmp.Or(c.Queue, o.queue)
	for i := range o.offers {
		if w := &o.offers[i]; !w.Hold && slices.Contains(w.Activities, c.Activity) {
			served = served || at == "" || c.AnyQueue || slices.Contains(w.Queues, at)
			queues = append(queues, w.Queues...)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(queues))), served
}

func (o *known) unknown(name string) string {
	if !o.named {
		return unknownActivity(o.registry, name)
	}
	text := fmt.Sprintf("unknown activity %q", name)
	switch near := activities.Nearest(name, o.names); {
	case len(near) > 0:
		return text + "; did you mean " + strings.Join(near, ", ") + "?"
	case len(o.names) == 0:
		return text + "; no live worker offers any"
	}
	return text + "; there are " + strings.Join(o.names, ", ")
}

// unknownActivity is the message for a name that nobody registered.
func unknownActivity(registry *activities.Registry, name string) string {
	text := fmt.Sprintf("unknown activity %q", name)
	if near := registry.Nearest(name); len(near) > 0 {
		return text + "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return text + "; this program registers " + strings.Join(registry.Names(), ", ")
}

// record is the program as it is stored.
func (p Program) record() (backend.Program, error) {
	if p.sources == nil {
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
	By, Note     string
	Name         string // of the workflow, when there is one file; default: the file's without .star
	AllowMissing bool   // also when activities are not registered here: workers may offer them
	// Offers are those of live workers: what they offer is not missing. A call whose queue the script does not name is served by any of them.
	Offers []SessionInfo
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
	there := known{registry: e.registry, offers: o.Offers}
	if o.AllowMissing {
		there.registry = nil
	}
	var problems starlark.Problems
	var programs []backend.Program
	var deployments []backend.Deployment
	names := make(map[string]string)
	for _, entry := range entries {
		p, err := e.load(ctx, fsys, entry, there)
		var found starlark.Problems
		if errors.As(err, &found) {
			problems = append(problems, found...)
			continue
		}
		if err != nil {
			return nil, err
		}
		if o.Name != "" {
			p.Workflow = o.Name
		}
		if other, twice := names[p.Workflow]; twice {
			return nil, fmt.Errorf("%s and %s are both workflow %q; nothing was deployed", other, entry, p.Workflow)
		}
		names[p.Workflow] = entry
		rec, err := p.record()
		if err != nil {
			return nil, err
		}
		programs = append(programs, rec)
		deployments = append(deployments, backend.Deployment{Workflow: p.Workflow, Digest: p.Digest, By: o.By, Note: o.Note})
	}
	if len(problems) > 0 {
		return nil, problems.Sorted()
	}
	if o.RequireCompatible {
		if err := e.compatible(ctx, deployments); err != nil {
			return nil, err
		}
	}
	stored, err := e.store.Deploy(ctx, programs, deployments)
	e.mu.Lock()
	clear(e.newest)
	e.mu.Unlock()
	return stored, err
}
