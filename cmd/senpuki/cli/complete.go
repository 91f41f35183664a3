// Completion in a shell: execution ids, workflow names, scripts.

package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// loaded is how each shell takes its completions.
var loaded = map[string]string{
	"bash":       "  source <(senpuki completion bash)",
	"zsh":        "  source <(senpuki completion zsh)",
	"fish":       "  senpuki completion fish | source",
	"powershell": "  senpuki completion powershell | Out-String | Invoke-Expression",
}

// completionExamples gives the commands that cobra makes an example, as all others have one.
func completionExamples(root *cobra.Command) {
	c, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	c.Example = loaded["bash"] + "\n" + loaded["fish"]
	for _, sub := range c.Commands() {
		sub.Example = loaded[sub.Name()]
		if sub.Name() == "fish" {
			sub.RunE = fishCompletion
		}
	}
}

// fishCompletion prints what cobra makes for fish, which gives the words before the one that is completed to eval as if
// nobody had quoted them: a blank or a quote in one ended that, and what stood behind a semicolon was run.
func fishCompletion(c *cobra.Command, _ []string) error {
	bare, err := c.Flags().GetBool("no-descriptions")
	if err != nil {
		return err
	}
	var script bytes.Buffer
	if err := c.Root().GenFishCompletion(&script, !bare); err != nil {
		return err
	}
	const words = "(commandline -opc)"
	_, err = io.WriteString(c.OutOrStdout(), strings.ReplaceAll(script.String(), "args "+words, "args (string escape -- "+words+")"))
	return err
}

// completionPatience is how long the database may hold up a person who types.
const completionPatience = 1500 * time.Millisecond

// completer completes a word: the argument or the value of a flag.
type completer = func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// lookUp asks the database for what completes a word.
func (a *app) lookUp(c *cobra.Command, do func(ctx context.Context, eng *engine.Engine, store backend.Store) error) error {
	ctx, cancel := context.WithTimeout(c.Context(), completionPatience)
	defer cancel()
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error { return do(ctx, eng, store) })
}

// only completes the first argument.
func only(first completer) completer {
	return func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return first(c, args, word)
	}
}

// The states of executions with which some commands can do something.
var (
	unfinishedStates = []backend.State{backend.Pending, backend.Running}
	retryStates      = []backend.State{backend.Failed, backend.Cancelled, backend.TimedOut}
	endedStates      = append([]backend.State{backend.Completed}, retryStates...)
)

// completeIDs completes the one argument with the ids of executions in some states, of all when none is named.
func (a *app) completeIDs(states ...backend.State) completer { return only(a.idsIn(states)) }

// ids are the newest execution ids that begin with a word.
func (a *app) ids(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.idsIn(nil)(c, args, word)
}

// idsIn are the ids of executions in some states only; nil is all.
func (a *app) idsIn(states []backend.State) completer {
	return func(c *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var out []cobra.Completion
		err := a.lookUp(c, func(ctx context.Context, eng *engine.Engine, _ backend.Store) error {
			found, err := eng.List(ctx, backend.Filter{IDPrefix: word, States: states, Limit: 50})
			for _, x := range found {
				out = append(out, cobra.CompletionWithDesc(x.ID, x.Workflow+", "+stateText(x)))
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeWorkflows completes the one argument with the names of deployed workflows.
func (a *app) completeWorkflows(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return only(a.workflowNames)(c, args, word)
}

// workflowNames are the deployed workflows that begin with a word.
func (a *app) workflowNames(c *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	_ = a.lookUp(c, func(ctx context.Context, _ *engine.Engine, store backend.Store) error { // without a database there are none
		list, err := store.Deployments(ctx, "")
		for _, d := range list {
			if strings.HasPrefix(d.Workflow, word) {
				names = append(names, d.Workflow)
			}
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeUpgrade completes any number of names of deployed workflows and ids of executions that run on one.
func (a *app) completeUpgrade(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names, how := a.workflowNames(c, args, word)
	ids, _ := a.idsIn(unfinishedStates)(c, args, word)
	return append(names, ids...), how
}

// completeDispatch completes what can be dispatched: workflows, and scripts with the directories on the way to them.
func (a *app) completeDispatch(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	out, how := a.workflowNames(c, nil, word)
	dir, begin := filepath.Split(word)
	at := dir
	if at == "" {
		at = "."
	}
	files, err := os.ReadDir(at)
	if err != nil {
		return out, how
	}
	for _, f := range files {
		switch name := f.Name(); {
		case !strings.HasPrefix(name, begin) || begin == "" && strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, ".star") && !f.IsDir():
			out = append(out, dir+name)
		case f.IsDir():
			out = append(out, dir+name+string(filepath.Separator))
			how |= cobra.ShellCompDirectiveNoSpace // it goes on
		}
	}
	return out, how
}
