// senpuki workflows: what is deployed.

package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

func (a *app) workflowsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "workflows",
		Short: "List, show and roll back deployed workflows",
		Example: `  senpuki workflows list
  senpuki workflows show order --source
  senpuki workflows rollback order --to 3`,
	}
	var source bool
	show := &cobra.Command{
		Use: "show WORKFLOW", Short: "Show the newest deployment of a workflow",
		Example: "  senpuki workflows show order --source",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeWorkflows,
		RunE: func(c *cobra.Command, args []string) error { return a.workflowShow(c.Context(), args[0], source) },
	}
	show.Flags().BoolVar(&source, "source", false, "print its source, every file of it")
	var to int
	rollback := &cobra.Command{
		Use: "rollback WORKFLOW", Short: "Deploy an earlier version again",
		Long: `Deploy an earlier version again: a new deployment of the same code, so that history
stays as it was. Without --to it is the version before the newest.`,
		Example: "  senpuki workflows rollback order --to 3",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: a.completeWorkflows,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("to") && to < 1 {
				return usage("--to: there is no version %d; they begin with 1", to)
			}
			return a.workflowRollback(c.Context(), args[0], to)
		},
	}
	rollback.Flags().IntVar(&to, "to", 0, "version")
	c.AddCommand(
		&cobra.Command{
			Use: "list", Aliases: []string{"ls"}, Short: "List deployed workflows", Example: "  senpuki workflows list --json", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return a.workflowList(c.Context(), "") },
		},
		show,
		&cobra.Command{
			Use: "history WORKFLOW", Short: "List every deployment of a workflow, newest first",
			Example: "  senpuki workflows history order", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeWorkflows,
			RunE: func(c *cobra.Command, args []string) error { return a.workflowList(c.Context(), args[0]) },
		},
		rollback, a.workflowDiffCommand(),
	)
	return c
}

// deployment is one deployment in JSON.
type deployment struct {
	Workflow string    `json:"workflow"`
	Version  int       `json:"version"`
	Digest   string    `json:"digest"`
	By       string    `json:"by,omitempty"`
	Note     string    `json:"note,omitempty"`
	At       time.Time `json:"at"`
}

// shownDeployment is what workflows show --json prints.
type shownDeployment struct {
	deployment
	Entry string          `json:"entry"`
	Files []starlark.File `json:"files"`
}

func (a *app) workflowList(ctx context.Context, workflow string) error {
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		found, err := store.Deployments(ctx, workflow)
		if err != nil {
			return err
		}
		if workflow != "" && len(found) == 0 {
			return unknownWorkflow(ctx, store, workflow)
		}
		list := make([]deployment, len(found))
		for i, d := range found {
			list[i] = deployment(d)
		}
		if a.json {
			return a.printDocument(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(a.err, "nothing is deployed; 'senpuki deploy FILE' publishes a workflow")
			return nil
		}
		t := table{head: []string{"WORKFLOW", "VERSION", "DIGEST", "DEPLOYED", "BY", "NOTE"}, fixed: 1}
		for _, d := range list {
			t.row(d.Workflow, strconv.Itoa(d.Version), short(d.Digest), ago(d.At, time.Now()), d.By, oneLine(d.Note, 60))
		}
		t.write(a.out, a.color())
		return nil
	})
}

// deployedDigest finds the code that a version's number, or the beginning of a digest, names; "" when there is none. Short
// numbers are versions, for digests begin with them, too; what begins several digests is refused.
func deployedDigest(deployed []backend.Deployment, version string) (string, error) {
	var found []backend.Deployment
	number, err := strconv.Atoi(version)
	byNumber := err == nil && len(version) < 6
	for _, d := range deployed {
		switch {
		case byNumber && d.Version == number:
			return d.Digest, nil
		case byNumber || !strings.HasPrefix(d.Digest, version):
		case !slices.ContainsFunc(found, func(f backend.Deployment) bool { return f.Digest == d.Digest }):
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0].Digest, nil
	}
	var b strings.Builder
	for _, d := range found {
		fmt.Fprintf(&b, "\n  %s  version %d, %s", short(d.Digest), d.Version, ago(d.At, time.Now()))
	}
	return "", usage("%s is the beginning of several digests of workflow %s:%s", version, found[0].Workflow, b.String())
}

// storedSources reads the files of a program.
func storedSources(ctx context.Context, store backend.Store, digest string) (*starlark.Sources, error) {
	p, err := store.Program(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("the source %s: %w", short(digest), err)
	}
	src, err := starlark.ParseSources(p.Sources)
	if err == nil && src.Digest() != digest {
		err = fmt.Errorf("its digest is %s", short(src.Digest()))
	}
	if err != nil {
		return nil, fmt.Errorf("the source %s is damaged: %w; deploy the same files again", short(digest), err)
	}
	return src, nil
}

func short(digest string) string { return digest[:min(12, len(digest))] }

// unknownWorkflow says that nothing of that name is deployed, and what is.
func unknownWorkflow(ctx context.Context, store backend.Store, workflow string) error {
	list, err := store.Deployments(ctx, "")
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.Workflow
	}
	if len(names) == 0 {
		return fmt.Errorf("no workflow %q is deployed; nothing is", workflow)
	}
	return fmt.Errorf("no workflow %q is deployed; there are %s", workflow, strings.Join(names, ", "))
}

func (a *app) workflowShow(ctx context.Context, workflow string, source bool) error {
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		found, err := store.Deployments(ctx, workflow)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return unknownWorkflow(ctx, store, workflow)
		}
		d := found[0]
		src, err := storedSources(ctx, store, d.Digest)
		if err != nil {
			return err
		}
		if a.json {
			return a.printDocument(shownDeployment{deployment(d), src.Entry, src.Files})
		}
		if source {
			a.printSources(src.Files)
			return nil
		}
		fmt.Fprintf(a.out, "%-10s %s\n%-10s %d\n%-10s %s\n%-10s %s\n", "workflow", d.Workflow, "version", d.Version, "digest", d.Digest, "deployed", moment(d.At, time.Now()))
		for _, f := range [][2]string{{"by", d.By}, {"note", d.Note}, {"entry", src.Entry}} {
			if f[1] != "" {
				fmt.Fprintf(a.out, "%-10s %s\n", f[0], legible(f[1]))
			}
		}
		for _, f := range src.Files {
			fmt.Fprintf(a.out, "%-10s %s, %s\n", "file", lines(f.Path), count(len(f.Text), "byte"))
		}
		return nil
	})
}

// printSources prints files: a single one byte by byte, of several each below its name and ended by a line break.
func (a *app) printSources(files []starlark.File) {
	for _, f := range files {
		text := a.script(f.Text)
		if len(files) > 1 {
			fmt.Fprintf(a.out, "# ---- %s\n", a.script(f.Path))
			text = strings.TrimSuffix(text, "\n") + "\n"
		}
		fmt.Fprint(a.out, text)
	}
}

// script is a text of scripts as it is, but for a terminal without what that would obey.
func (a *app) script(text string) string {
	if _, tty := terminal(a.out); tty {
		return lines(text)
	}
	return text
}

func (a *app) workflowRollback(ctx context.Context, workflow string, to int) error {
	return a.change(ctx, func(eng *engine.Engine, store backend.Store) error {
		found, err := store.Deployments(ctx, workflow)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return unknownWorkflow(ctx, store, workflow)
		}
		if to == 0 {
			if to = found[0].Version - 1; to == 0 {
				return fmt.Errorf("workflow %s has one version only; there is none before it", workflow)
			}
		}
		i := slices.IndexFunc(found, func(d backend.Deployment) bool { return d.Version == to })
		if i < 0 {
			return fmt.Errorf("workflow %s has no version %d; 'senpuki workflows history %s' lists them", workflow, to, workflow)
		}
		if _, err := storedSources(ctx, store, found[i].Digest); err != nil { // what cannot be run is not put in force
			return err
		}
		stored, err := store.Deploy(ctx, nil, []backend.Deployment{{
			Workflow: workflow, Digest: found[i].Digest, By: a.env("USER"), Note: fmt.Sprintf("rollback to version %d", to),
		}})
		if err != nil {
			return err
		}
		if a.json {
			return a.printDocument(deployment(stored[0]))
		}
		fmt.Fprintf(a.out, "%s version %d has the code of version %d (%.12s)\n", workflow, stored[0].Version, to, stored[0].Digest)
		return nil
	})
}
