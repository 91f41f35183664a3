// The root command: streams, global flags, and what ends the program.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend/redis"
	"github.com/senpuki/senpuki/cmd/senpuki/cli/config"
)

// app is what the commands share.
type app struct {
	registry *activities.Registry
	in       io.Reader
	out      *output
	err      io.Writer
	env      func(string) string

	watched map[string]string // digests that worker --watch has deployed, by workflow

	db         string // as given
	redis      string // as given
	json       bool
	configPath string // as given
	maxSteps   int    // as given; 0: not

	wake *redis.Notifier // nil: no wake-ups over Redis

	file config.File  // empty when there is none
	log  *slog.Logger // of exec, nil unless it was asked for
	say  sayFunc      // nil: in plain lines
	cut  bool         // what ran here was stopped at once
}

// Main runs the command line with the process's arguments and streams and
// exits. The registry may be nil; the stock activities are added to it, but
// never in place of one that it has.
func Main(registry *activities.Registry) {
	var floor []byte
	if os.Getenv("GOGC") == "" { // the heap is small, and a collection looks at the stack of every script
		debug.SetGCPercent(200)
		floor = make([]byte, heapFloor)
	}
	status := Run(context.Background(), registry, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	runtime.KeepAlive(floor)
	os.Exit(status)
}

// heapFloor is how many bytes the heap seems to be larger than it is: three times as much is
// allocated before the first collection. Nothing is ever written there, and so it takes no memory.
const heapFloor = 16 << 20

// Run is Main for tests and for programs that go on afterwards: it runs one
// command and returns its exit status.
func Run(ctx context.Context, registry *activities.Registry, args []string, in io.Reader, out, errw io.Writer) int {
	if registry == nil {
		registry = activities.NewRegistry()
	}
	if in == nil {
		in = strings.NewReader("")
	}
	a := &app{registry: registry, in: in, out: &output{to: out}, err: errw, env: os.Getenv}
	root := a.root()
	root.SetArgs(goFlags(args))
	err := a.out.ended(root.ExecuteContext(ctx))
	code, tell := status(err)
	if tell {
		fmt.Fprintf(errw, "senpuki: %s\n", spoken(err))
	}
	return code
}

// addStock registers the stock activities whose names are free.
func (a *app) addStock() error {
	for _, group := range activities.StockGroups() {
		if err := activities.RegisterStock(a.registry, group); err != nil && !errors.Is(err, activities.ErrRegistered) {
			return err
		}
	}
	return nil
}

func (a *app) root() *cobra.Command {
	version := false
	root := &cobra.Command{
		Use:   "senpuki",
		Short: "Durable workflows in Starlark",
		Long: `Senpuki runs workflows written in Starlark durably: what a step came to is on
disk before the script goes on, and a killed run is resumed where it stood.`,
		Example: `  senpuki exec hello.star --arg name=world
  senpuki list
  senpuki show 0190`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			if version {
				return a.printVersion()
			}
			return c.Help()
		},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := refuseEmpty(c); err != nil {
				return err
			}
			if err := a.configure(c); err != nil {
				return err
			}
			if c.Flags().Lookup(stepsFlag) != nil {
				if _, err := a.steps(); err != nil { // before anything is made
					return err
				}
			}
			if c.Name() == "worker" { // it offers only what --allow names
				return nil
			}
			return a.addStock()
		},
	}
	root.SetIn(a.in) // before the command completion is made, which keeps where it prints
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.Args = func(c *cobra.Command, args []string) error { return unknownCommand(c, args) }
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w\nSee '%s --help'", flagError(err), c.CommandPath())
	})
	root.Flags().BoolVar(&version, "version", false, "print what the command version prints")
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", "", "database: a path, sqlite:PATH, postgres://... or memory: (default $SENPUKI_DB, else senpuki.db)")
	flags.StringVar(&a.redis, "redis", "", "wake-ups over Redis: redis://HOST[:PORT] (default $SENPUKI_REDIS, else none)")
	flags.StringVar(&a.configPath, "config", "", "configuration file (default $SENPUKI_CONFIG, else the nearest senpuki.toml upward)")
	flags.BoolVar(&a.json, "json", false, "print JSON with stable field names")
	root.AddCommand(
		a.execCommand(), a.resumeCommand(), a.listCommand(), a.showCommand(), a.historyCommand(), a.resultCommand(),
		a.waitCommand(), a.logsCommand(), a.watchCommand(), a.signalCommand(), a.cancelCommand(), a.dispatchCommand(), a.workerCommand(), a.workersCommand(),
		a.upgradeCommand(), a.replayCommand(), a.retryCommand(), a.forkCommand(), a.tasksCommand(), a.dlqCommand(), a.cacheCommand(), a.statsCommand(), a.gcCommand(), a.dbCommand(), a.deployCommand(), a.workflowsCommand(), a.checkCommand(), a.testCommand(), a.initCommand(), a.benchCommand(), a.versionCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	completionExamples(root)
	argsOrUsage(root)
	return root
}

// groupCommand is a command that only has others below it.
func groupCommand(use, short, example string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Example: example, // root makes it print its help
	}
	c.AddCommand(below...)
	return c
}

// flagError puts a value that a flag cannot take into words.
func flagError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if list, is := errors.AsType[*listError](err); ok && is {
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, list)
	}
	number, numeric := errors.AsType[*strconv.NumError](err)
	if !ok || !numeric {
		return err
	}
	what := "a whole number"
	switch {
	case errors.Is(number, strconv.ErrRange):
		what = "a number in reach"
	case number.Func == "ParseBool":
		what = "true or false"
	}
	return fmt.Errorf("--%s: %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), what)
}

// argsOrUsage makes wrong arguments of all commands below c usage errors.
func argsOrUsage(c *cobra.Command) {
	for _, sub := range c.Commands() {
		switch {
		case sub.Name() == "help":
			sub.Args, sub.Example = helpTopic, "  "+c.Name()+" help exec"
		case sub.HasSubCommands():
			sub.Args, sub.RunE = unknownCommand, func(c *cobra.Command, _ []string) error { return c.Help() }
			argsOrUsage(sub)
		case sub.Args != nil:
			sub.Args = countedArgs(sub.Args)
		}
	}
}

// helpTopic refuses help on what is no command.
func helpTopic(c *cobra.Command, args []string) error {
	if found, left, err := c.Root().Find(args); err != nil || len(left) > 0 {
		return unknownCommand(found, left)
	}
	return nil
}

// countedArgs makes a wrong count of arguments a usage error.
func countedArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			if len(args) > 0 && check(c, nil) == nil && check(c, args[:1]) != nil {
				return usage("%s takes no arguments, and there is %q\nUsage: %s\nSee '%s --help'", c.CommandPath(), args[0], c.UseLine(), c.CommandPath())
			}
			return usage("%w\nUsage: %s\nSee '%s --help'", err, c.UseLine(), c.CommandPath())
		}
		return nil
	}
}

// elsewhere are the words of other engines and tools for what commands do here.
var elsewhere = map[string]string{
	"run": "exec", "start": "exec or dispatch", "submit": "dispatch", "trigger": "dispatch", "enqueue": "dispatch",
	"status": "show", "describe": "show", "inspect": "show", "get": "show or list", "query": "show", "ls": "list", "ps": "list",
	"stop": "cancel", "kill": "cancel --now", "terminate": "cancel --now", "reset": "fork", "rerun": "retry or fork",
	"validate": "check", "lint": "check", "new": "init", "publish": "deploy", "send": "signal", "migrate": "db migrate", "dashboard": "watch",
}

// unknownCommand refuses what is no command, and names what was probably meant.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if strings.HasSuffix(args[0], ".star") && !c.HasParent() {
		return usage("unknown command %q; did you mean '%s exec %s'?", args[0], c.Name(), args[0])
	}
	if meant := elsewhere[args[0]]; meant != "" && !c.HasParent() {
		return usage("unknown command %q; did you mean %s?", args[0], meant)
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return usage("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usage("unknown command %q; '%s --help' lists the commands", args[0], c.CommandPath())
}
