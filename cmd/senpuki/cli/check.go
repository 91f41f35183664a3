// senpuki check: find mistakes in scripts without running anything.

package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/starlark"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check PATH...",
		Short: "Find mistakes in scripts without running anything",
		Long: `Find mistakes in scripts: syntax, names, loads, unknown activities, wrong arguments.
A directory stands for every .star file below it. Exits 1 when there is an error;
warnings stop nothing.`,
		Example: `  senpuki check order.star
  senpuki check workflows --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.check(c.Context(), args) },
	}
}

func (a *app) check(ctx context.Context, paths []string) error {
	files, err := starFiles(paths)
	if err != nil {
		return err
	}
	found := starlark.Problems{}
	seen := map[starlark.Problem]bool{} // a file that others load is named once
	for _, file := range files {
		problems, err := a.checkFile(ctx, file)
		if err != nil {
			return err
		}
		for _, p := range problems {
			if !seen[p] {
				seen[p] = true
				found = append(found, p)
			}
		}
	}
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

// checkFile is what is wrong with one script.
func (a *app) checkFile(ctx context.Context, file string) (starlark.Problems, error) {
	s, err := findScript(file)
	if err != nil {
		return nil, err
	}
	prog, err := a.load(ctx, s)
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
		err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && p != path && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			if !d.IsDir() && filepath.Ext(p) == ".star" {
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
