// senpuki test: run the tests of workflows.

package cli

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// testFlags are the flags of test.
type testFlags struct {
	run     string
	verbose bool
}

func (a *app) testCommand() *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Run the tests of workflows",
		Long: `Run the tests of workflows: the functions test_*(t) of the files *_test.star. A directory
stands for every such file below it; without a path it is the working directory.

Each test has a database and a clock of its own, in memory: t.mock answers activities, and
time passes at once. It is run twice, the second time with every workflow replayed from its
first line whenever it waits. Activities without a mock run as they are. Exits 1 when a test fails.`,
		Example: `  senpuki test
  senpuki test workflows/order_test.star --run refund -v`,
		RunE: func(c *cobra.Command, args []string) error { return a.test(c.Context(), args, f) },
	}
	c.Flags().StringVar(&f.run, "run", "", "run only the tests whose names match this regular expression")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "name every test, and show what it prints")
	return c
}

// goFlags lets -run be written as for go test.
func goFlags(args []string) []string {
	test := false
	out := make([]string, len(args))
	for i, arg := range args {
		test = test || arg == "test"
		if test && (arg == "-run" || strings.HasPrefix(arg, "-run=")) {
			arg = "-" + arg
		}
		out[i] = arg
	}
	return out
}

func (a *app) test(ctx context.Context, paths []string, f testFlags) error {
	pattern, err := regexp.Compile(f.run)
	if err != nil {
		return usage("--run: %w", err)
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	files, err := testFiles(paths)
	if err != nil {
		return err
	}
	r := &testReport{app: a, verbose: f.verbose}
	for _, file := range files {
		if err := a.testFile(ctx, file, pattern, r); err != nil {
			return err
		}
	}
	return r.end()
}

// testFiles lists the test files that paths name.
func testFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && !info.IsDir() && !strings.HasSuffix(path, "_test.star") {
			return nil, usage("%s is not a test file: its name does not end in _test.star", path)
		}
		all, err := starFiles([]string{path})
		if err != nil {
			return nil, err
		}
		for _, file := range all {
			if strings.HasSuffix(filepath.Base(file), "_test.star") || filepath.Clean(file) == filepath.Clean(path) {
				files = append(files, file)
			}
		}
	}
	if len(files) == 0 {
		return nil, usage("there is no file *_test.star in %s", strings.Join(paths, ", "))
	}
	return files, nil
}

// testFile runs the tests of one file.
func (a *app) testFile(ctx context.Context, file string, pattern *regexp.Regexp, r *testReport) error {
	s, err := findScript(file)
	if err != nil {
		return err
	}
	r.file(s.shown(s.entry))
	prog, err := s.load(ctx, engine.Activities{}) // it names activities that are doubles only
	if err != nil {
		problems := s.problems(err)
		if problems == nil {
			return err
		}
		for _, p := range problems {
			r.refused(p)
		}
		return r.fileEnd()
	}
	for _, test := range prog.Compiled.Tests() {
		if !pattern.MatchString(test.Name) {
			continue
		}
		r.begin(test.Name)
		begun := time.Now()
		var output []string
		failure := error(nil)
		for _, replay := range []bool{false, true} {
			output = nil
			failure = a.runTest(ctx, s, prog, test, replay, func(line string) { output = append(output, line) })
			if failure != nil {
				break
			}
		}
		if err := r.outcome(test, s, time.Since(begun), failure, output); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return r.fileEnd()
}

// runTest runs one test in one world.
func (a *app) runTest(ctx context.Context, s script, prog engine.Program, test starlark.Test, replay bool, print func(string)) error {
	d, err := newTestDriver(a.registry, s, replay)
	if err != nil {
		return err
	}
	err = prog.Compiled.RunTest(test.Name, d, print)
	if broken := d.world.Close(); err == nil && broken != nil {
		err = &starlark.TestFailure{Pos: test.Pos, Failure: &starlark.Failure{Kind: "Broken", Message: broken.Error()}}
	}
	if err != nil && replay {
		err = &replayedFailure{err}
	}
	return err
}

// replayedFailure is one that appears only when workflows are replayed at every wait.
type replayedFailure struct{ error }

func (f *replayedFailure) Unwrap() error { return f.error }
