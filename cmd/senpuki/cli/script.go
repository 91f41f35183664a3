// Scripts by path: finding the workspace, loading, showing what is wrong.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// script is a file of a workspace: the directory with senpuki.toml, or else
// the file's own.
type script struct {
	root  string // directory
	entry string // below root, with slashes
}

const workspaceFile = "senpuki.toml"

// findScript locates a script; the error is one of usage.
func findScript(path string) (script, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return script{}, usage("there is no file %s", path)
	case err != nil:
		return script{}, usage("%w", err)
	case info.IsDir():
		return script{}, usage("%s is a directory; name a .star file", path)
	case filepath.Ext(path) != ".star":
		return script{}, usage("%s is not a .star file", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return script{}, err
	}
	root := filepath.Dir(abs)
	for dir := root; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, workspaceFile)); err == nil {
			root = dir
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	entry, err := filepath.Rel(root, abs)
	if err != nil {
		return script{}, err
	}
	return script{root: root, entry: filepath.ToSlash(entry)}, nil
}

// shown is a file of the workspace as the user would name it here.
func (s script) shown(file string) string {
	if file == "" || strings.HasPrefix(file, "@") {
		return file
	}
	path := filepath.Join(s.root, filepath.FromSlash(file))
	if cwd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(cwd, path); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.ToSlash(rel)
		}
	}
	return path
}

// load compiles a script and checks it against the registry; nothing is
// stored, and no database is opened.
func (a *app) load(ctx context.Context, s script) (engine.Program, error) {
	return a.loadFor(ctx, s, a.registry)
}

// loadFor is load for those who know other activities; nil: the activities are not checked.
func (a *app) loadFor(ctx context.Context, s script, registry *activities.Registry) (engine.Program, error) {
	eng, err := engine.New(memory.New(), registry, engine.Options{Hold: true})
	if err != nil {
		return engine.Program{}, err
	}
	return eng.Load(ctx, os.DirFS(s.root), s.entry)
}

// loadKnowing is load when names are all the activities that there are; nil: those of this program.
func (a *app) loadKnowing(ctx context.Context, s script, names []string) (engine.Program, error) {
	if names == nil {
		return a.load(ctx, s)
	}
	eng, err := engine.New(memory.New(), a.registry, engine.Options{Hold: true})
	if err != nil {
		return engine.Program{}, err
	}
	return eng.LoadFor(ctx, os.DirFS(s.root), s.entry, names)
}

// problems turns an error of load into what is wrong with the script, with
// file names as the user would write them; nil when it is another error.
func (s script) problems(err error) starlark.Problems {
	var found starlark.Problems
	if !errors.As(err, &found) {
		return nil
	}
	out := make(starlark.Problems, len(found))
	for i, p := range found {
		p.File = s.shown(p.File)
		out[i] = p
	}
	return out
}

func printProblems(w io.Writer, problems starlark.Problems) {
	for _, p := range problems {
		if p.Severity == starlark.SeverityWarning {
			p.Message = "warning: " + p.Message
		}
		fmt.Fprintln(w, p.String())
	}
}

// lacks reports whether a script is refused for activities that live workers may offer.
func lacks(err error) bool {
	var found starlark.Problems
	return errors.As(err, &found) && slices.ContainsFunc(found, func(p starlark.Problem) bool { return p.Activity != "" })
}

// mustLoadServed loads a script for running it on a queue: a refusal has been printed and carries its exit status;
// warnings are printed. Live workers of the database are asked for what this program lacks.
func (a *app) mustLoadServed(ctx context.Context, s script, queue string) (engine.Program, error) {
	p, err := a.load(ctx, s)
	if !lacks(err) {
		return a.loaded(s, p, err)
	}
	var live []engine.SessionInfo
	asked := a.view(ctx, func(_ *engine.Engine, store backend.Store) (err error) {
		live, err = offers(ctx, store)
		return err
	})
	if asked != nil && !errors.Is(asked, errNoDatabase) {
		return p, asked
	}
	if len(live) > 0 {
		var eng *engine.Engine
		if eng, err = engine.New(memory.New(), a.registry, engine.Options{Hold: true}); err == nil {
			p, err = eng.LoadServed(ctx, os.DirFS(s.root), s.entry, queue, live)
		}
	}
	return a.loaded(s, p, err)
}

func (a *app) mustLoadFor(ctx context.Context, s script, registry *activities.Registry) (engine.Program, error) {
	p, err := a.loadFor(ctx, s, registry)
	return a.loaded(s, p, err)
}

// loaded prints what is wrong with a script.
func (a *app) loaded(s script, p engine.Program, err error) (engine.Program, error) {
	if err != nil {
		if problems := s.problems(err); problems != nil {
			printProblems(a.err, problems)
			return p, &exitError{status: exitUsage}
		}
		return p, &exitError{exitUsage, err}
	}
	printProblems(a.err, s.problems(p.Warnings))
	return p, nil
}
