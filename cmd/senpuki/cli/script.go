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

	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// script is a file of a workspace: the directory with senpuki.toml, or else
// the file's own.
type script struct {
	root  string // directory
	entry string // below root, with slashes
	name  string // of the workflow, when the file was named by a link to it
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
	case !info.Mode().IsRegular():
		return script{}, usage("%s is no regular file; name one with a script in it", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return script{}, err
	}
	s, err := scriptAt(abs)
	if err != nil {
		return script{}, err
	}
	real, inside, err := below(s.root, path)
	if err != nil {
		return script{}, usage("%w", err)
	}
	if same, err := os.Stat(abs); inside && err == nil && os.SameFile(info, same) {
		return s, nil
	}
	// A link leads out of that workspace: it is a short name for a script of another one. Or .. is not what was before a link.
	if inside {
		real = filepath.Join(s.root, real)
	}
	if s, err = scriptAt(real); err != nil {
		return script{}, err
	}
	s.name = strings.TrimSuffix(filepath.Base(path), ".star")
	return s, nil
}

// scriptAt finds the workspace of a file.
func scriptAt(file string) (script, error) {
	root := filepath.Dir(file)
	for dir := root; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, workspaceFile)); err == nil {
			root = dir
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	entry, err := filepath.Rel(root, file)
	return script{root: root, entry: filepath.ToSlash(entry)}, err
}

// isScript reports whether a file of a directory is a script. Hidden ones are none: editors keep locks and copies beside what they edit.
func isScript(name string) bool {
	return filepath.Ext(name) == ".star" && !strings.HasPrefix(name, ".")
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

// load reads a script and checks it against the activities that there are; nothing is stored, and no database is opened.
func (s script) load(ctx context.Context, there engine.Activities) (engine.Program, error) {
	p, err := s.read(ctx)
	if found := p.Check(there); found != nil {
		err = found
	}
	return p, err
}

// read reads a script, and does not judge its calls.
func (s script) read(ctx context.Context) (engine.Program, error) {
	return s.readNoting(ctx, fileSet{})
}

// readNoting is read that notes the files that are read, or looked for.
func (s script) readNoting(ctx context.Context, noted fileSet) (engine.Program, error) {
	p, err := engine.Load(ctx, notingFS{workspaceFS(s.root), noted}, s.entry)
	if s.name != "" {
		p.Workflow = s.name
	}
	return p, err
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
		fmt.Fprintln(w, lines(p.String()))
	}
}

// lacks reports whether a script is refused for activities that live workers may offer.
func lacks(err error) bool {
	var found starlark.Problems
	return errors.As(err, &found) && slices.ContainsFunc(found, func(p starlark.Problem) bool { return p.Activity != "" })
}

// mustLoad loads a script for those who go on with it: a refusal has been printed and carries its exit status; warnings are
// printed. Its activities are not checked, for they are those of whoever runs it.
func (a *app) mustLoad(ctx context.Context, s script) (engine.Program, error) {
	p, err := s.load(ctx, engine.Activities{})
	return p, a.loaded(s, p, err)
}

// mustLoadServed is mustLoad for running the script here, on a queue: this program has its activities, or live workers of the
// database, which are asked only then, offer them.
func (a *app) mustLoadServed(ctx context.Context, s script, queue string) (engine.Program, error) {
	there := engine.Activities{Registry: a.registry, Queue: queue}
	p, err := s.load(ctx, there)
	if lacks(err) {
		var asked error
		if there.Offers, asked = a.liveOffers(ctx); asked != nil {
			return p, asked
		}
		err = p.Check(there)
	}
	return p, a.loaded(s, p, err)
}

// loaded prints what is wrong with a script.
func (a *app) loaded(s script, p engine.Program, err error) error {
	if err == nil {
		printProblems(a.err, s.problems(p.Warnings))
		return nil
	}
	if problems := s.problems(err); problems != nil {
		printProblems(a.err, problems)
		return &exitError{status: exitUsage}
	}
	return &exitError{exitUsage, err}
}
