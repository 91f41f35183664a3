// senpuki check: find mistakes in scripts without running anything.

package cli

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// checkFlags are the flags of check.
type checkFlags struct {
	live  bool   // --db was given: ask its workers
	names string // file with the names of activities
}

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	c := &cobra.Command{
		Use:   "check PATH...",
		Short: "Find mistakes in scripts without running anything",
		Long: `Find mistakes in scripts: syntax, names, loads, unknown activities, wrong arguments and options.
A directory stands for every .star file below it. Exits 1 when there is an error;
warnings stop nothing. Activities are those of this program; with --db those that the live workers
of the database offer; with --activities those that a file names, one a line.`,
		Example: `  senpuki check order.star
  senpuki check workflows --json
  senpuki check workflows --db 'postgres://db.example/flows'
  senpuki check workflows --activities activities.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f.live = c.Flags().Changed("db")
			return a.check(c.Context(), args, f)
		},
	}
	c.Flags().StringVar(&f.names, "activities", "", "file with the names of the activities that there are, one a line")
	return c
}

func (a *app) check(ctx context.Context, paths []string, f checkFlags) error {
	names, err := a.offered(ctx, f)
	if err != nil {
		return err
	}
	files, err := starFiles(paths)
	if err != nil {
		return err
	}
	each := make([]starlark.Problems, len(files))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range files {
		group.Go(func() (err error) {
			each[i], err = a.checkFile(gctx, file, names)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	found := append(starlark.Problems{}, slices.Concat(each...).Sorted()...) // a file that others load is named once
	if a.json {
		if err := a.printDocument(found); err != nil {
			return err
		}
	} else {
		printProblems(a.out, found)
	}
	if slices.ContainsFunc(found, func(p starlark.Problem) bool { return p.Severity != starlark.SeverityWarning }) {
		return &exitError{status: exitFailed}
	}
	if !a.json {
		fmt.Fprintf(a.err, "%s checked\n", count(len(files), "file"))
	}
	return nil
}

// offered are the activities that there are, nil when they are this program's.
func (a *app) offered(ctx context.Context, f checkFlags) (names []string, err error) {
	switch {
	case f.live && f.names != "":
		return nil, usage("--db and --activities both say which activities there are; give one of them")
	case f.names != "":
		text, err := os.ReadFile(f.names)
		if err != nil {
			return nil, usage("--activities: %v", err)
		}
		names = []string{}
		for line := range strings.Lines(string(bytes.TrimPrefix(text, byteOrderMark))) {
			if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
				names = append(names, strings.TrimSpace(line))
			}
		}
		return names, nil
	case !f.live:
		return nil, nil
	}
	names = []string{}
	return names, a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		live, err := offers(ctx, eng)
		for _, o := range live {
			if !o.Hold {
				names = append(names, o.Activities...)
			}
		}
		return err
	})
}

// checkFile is what is wrong with one script.
func (a *app) checkFile(ctx context.Context, file string, names []string) (starlark.Problems, error) {
	s, err := findScript(file)
	if err != nil {
		return nil, err
	}
	prog, err := s.load(ctx, engine.Activities{Registry: a.registry, Names: names})
	if err == nil {
		return s.problems(prog.Warnings), nil
	}
	if problems := s.problems(err); problems != nil {
		return problems, nil
	}
	return nil, err
}

// starFiles lists the scripts that paths name.
func starFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			files = append(files, path) // findScript says what is wrong with it
			continue
		}
		before := len(files)
		root := path + string(filepath.Separator) // it may be a link to a directory
		err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && p != root && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			if !d.IsDir() && isScript(d.Name()) {
				files = append(files, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, usage("%s has no .star file", path)
		}
	}
	return files, nil
}
