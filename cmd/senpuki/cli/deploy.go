// senpuki deploy: publish workflows.

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// deployFlags are the flags of deploy.
type deployFlags struct {
	name, note               string
	compatible, allowMissing bool
}

func (a *app) deployCommand() *cobra.Command {
	var f deployFlags
	c := &cobra.Command{
		Use:   "deploy PATH... [flags]",
		Short: "Publish workflows",
		Long: `Publish workflows: each file becomes the newest code of the workflow that is named
after it, without .star. New executions take it within a second, running ones keep their code.
Everything is checked first, nothing is stored when any file fails, and unchanged code is left alone.
A directory stands for the .star files in it that have a function main.`,
		Example: `  senpuki deploy order.star refund.star
  senpuki deploy workflows/ --note "ticket 17"
  senpuki deploy drafts/order2.star --name order
  senpuki deploy workflows/ --require-compatible`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.deploy(c.Context(), args, f) },
	}
	c.Flags().StringVar(&f.name, "name", "", "name of the workflow (one file only)")
	c.Flags().StringVar(&f.note, "note", "", "what to remember about this deployment")
	c.Flags().BoolVar(&f.compatible, "require-compatible", false, "refuse unless the journals of all running executions replay on the new code")
	c.Flags().BoolVar(&f.allowMissing, "allow-missing", false, "also when activities are unknown here and no live worker offers them")
	return c
}

// deployed is one line of deploy --json.
type deployed struct {
	Workflow string `json:"workflow"`
	Version  int    `json:"version"`
	Digest   string `json:"digest"`
	Changed  bool   `json:"changed"`
}

func (a *app) deploy(ctx context.Context, paths []string, f deployFlags) (err error) {
	files, err := a.toDeploy(ctx, paths, f.name)
	if err != nil {
		return err
	}
	if err := a.checkAll(ctx, files, f.allowMissing); err != nil {
		return err
	}
	store, err := a.openStore(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	eng, err := a.newEngine(store, a.registry, engine.Options{Hold: true})
	if err != nil {
		return err
	}
	before := make(map[string]int)
	known, err := store.Deployments(ctx, "")
	if err != nil {
		return err
	}
	for _, d := range known {
		before[d.Workflow] = d.Version
	}
	programs := make([]engine.Program, len(files))
	for i, s := range files {
		programs[i] = s.program
	}
	done, err := eng.Publish(ctx, engine.DeployOptions{By: a.env("USER"), Note: f.note, RequireCompatible: f.compatible}, programs...)
	if bad, ok := errors.AsType[*engine.IncompatibleError](err); ok {
		return a.incompatible(bad)
	}
	if err != nil {
		return err
	}
	return a.printDeployed(done, before)
}

// toDeploy loads the scripts that paths name, which must be of one workspace. A name is for the only one.
func (a *app) toDeploy(ctx context.Context, paths []string, name string) ([]loadedScript, error) {
	if name != "" { // dispatch is to find it by what is typed
		if err := checkNames("--name", name); err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".star") {
			return nil, usage("--name: %q would be taken for a file by dispatch; leave .star out", name)
		}
	}
	files, err := scriptsAt(ctx, paths)
	if err != nil {
		return nil, err
	}
	if name != "" {
		if len(files) != 1 {
			return nil, usage("--name: names one workflow, there are %d files", len(files))
		}
		files[0].program.Workflow = name
	}
	for _, s := range files {
		if first := files[0]; s.root != first.root {
			return nil, usage("%s and %s belong to different workspaces; put a %s into the directory above both, or deploy them one by one",
				first.shown(first.entry), s.shown(s.entry), workspaceFile)
		}
		if s.err == nil && len(s.program.Compiled.Functions()) == 0 { // nobody could run it: an editor was cut off, say
			return nil, usage("%w", &starlark.NoFunctionError{File: s.shown(s.entry), Function: "main"})
		}
	}
	return files, nil
}

// checkAll prints what is wrong with scripts. Live workers are asked for what this program lacks, unless that is allowed.
func (a *app) checkAll(ctx context.Context, files []loadedScript, allowMissing bool) error {
	there := engine.Activities{Registry: a.registry}
	if allowMissing {
		there.Registry = nil
	}
	err := problemsOf(files, there)
	if lacks(err) {
		var asked error
		if there.Offers, asked = a.liveOffers(ctx); asked != nil {
			return asked
		}
		err = problemsOf(files, there)
	}
	if problems := files[0].problems(err); problems != nil {
		printProblems(a.err, problems)
		return &exitError{exitUsage, errors.New("nothing was deployed")}
	}
	return err
}

// problemsOf is what is wrong with scripts, each problem once, as one error.
func problemsOf(files []loadedScript, there engine.Activities) error {
	var problems starlark.Problems
	for _, s := range files {
		err := s.check(there)
		if found, ok := errors.AsType[starlark.Problems](err); ok {
			problems = append(problems, found...)
		} else if err != nil {
			return err
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems.Sorted() // files share what they load
}

// printDeployed prints deployments; before has the versions that there were.
func (a *app) printDeployed(done []backend.Deployment, before map[string]int) error {
	list := make([]deployed, len(done))
	for i, d := range done {
		list[i] = deployed{d.Workflow, d.Version, d.Digest, before[d.Workflow] != d.Version}
	}
	if a.json {
		return a.printDocument(list)
	}
	for _, d := range list {
		text := fmt.Sprintf("%s version %d (%.12s)", d.Workflow, d.Version, d.Digest)
		if !d.Changed {
			text += ", unchanged"
		}
		fmt.Fprintln(a.out, text)
	}
	return nil
}

// loadedScript is a script to be deployed.
type loadedScript struct {
	script
	program engine.Program
	err     error // why there is none
}

// check is what is wrong with it.
func (s *loadedScript) check(there engine.Activities) error {
	if found := s.program.Check(there); found != nil {
		return found
	}
	return s.err
}

// workflow reports whether it is to be deployed when it lies in a directory that is: it has a main, or is broken.
func (s *loadedScript) workflow() bool {
	return s.err != nil || slices.Contains(s.program.Compiled.Functions(), "main")
}

func loadScript(ctx context.Context, path string) (loadedScript, error) {
	return loadNoting(ctx, path, fileSet{})
}

// loadNoting is loadScript that notes the files that are read, or looked for.
func loadNoting(ctx context.Context, path string, noted fileSet) (loadedScript, error) {
	s, err := findScript(path)
	if err != nil {
		return loadedScript{}, err
	}
	p, err := s.readNoting(ctx, noted)
	return loadedScript{s, p, err}, nil
}

// scriptsAt loads the scripts that paths name; a directory stands for its workflows.
func scriptsAt(ctx context.Context, paths []string) (found []loadedScript, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			s, err := loadScript(ctx, path)
			if err != nil {
				return nil, err
			}
			found = append(found, s)
			continue
		}
		files, err := scriptsIn(path)
		if err != nil {
			return nil, err
		}
		before := len(found)
		for _, file := range files {
			s, err := loadScript(ctx, file)
			if err != nil {
				return nil, err
			}
			if s.workflow() {
				found = append(found, s)
			}
		}
		if len(found) == before {
			return nil, noWorkflow(path)
		}
	}
	return found, nil
}

func noWorkflow(dir string) error { return usage("%s has no .star file with a function main", dir) }

// scriptsIn lists the scripts of a directory that may be workflows: no tests, and no hidden files.
func scriptsIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); isScript(name) && !strings.HasSuffix(name, "_test.star") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, err
}
