// senpuki workflows diff: what changed between two versions of a workflow.

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) workflowDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff WORKFLOW A [B]", Short: "Show what changed between two versions of a workflow",
		Long:    "Show what changed between two versions of a workflow, numbers or digests; without B it is the newest.",
		Example: "  senpuki workflows diff order 3\n  senpuki workflows diff order 3 5", Args: cobra.RangeArgs(2, 3), ValidArgsFunction: a.completeWorkflows,
		RunE: func(c *cobra.Command, args []string) error {
			return a.view(c.Context(), func(_ *engine.Engine, store backend.Store) error {
				deployed, err := store.Deployments(c.Context(), args[0])
				if err != nil {
					return err
				}
				if len(deployed) == 0 {
					return unknownWorkflow(c.Context(), store, args[0])
				}
				newest := strconv.Itoa(deployed[0].Version)
				old, err := sourcesOf(c.Context(), store, deployed, args[1])
				if err != nil {
					return err
				}
				if len(args) == 3 {
					newest = args[2]
				}
				now, err := sourcesOf(c.Context(), store, deployed, newest)
				if err != nil {
					return err
				}
				doc := workflowDiff{Workflow: args[0], From: args[1], To: newest, Files: []fileDiff{}}
				for _, name := range names(old, now) {
					if text := diff.Diff(args[1]+"/"+name, []byte(old[name]), newest+"/"+name, []byte(now[name])); text != nil {
						_, lines, _ := strings.Cut(string(text), "\n") // the first line names a command
						doc.Files = append(doc.Files, fileDiff{name, lines})
					}
				}
				if a.json {
					return a.printDocument(doc)
				}
				for _, f := range doc.Files {
					fmt.Fprint(a.out, a.script(f.Diff))
				}
				return nil
			})
		},
	}
}

// workflowDiff is what workflows diff --json prints.
type workflowDiff struct {
	Workflow string     `json:"workflow"`
	From     string     `json:"from"` // as they were named
	To       string     `json:"to"`
	Files    []fileDiff `json:"files"` // those that differ
}

type fileDiff struct {
	Path string `json:"path"`
	Diff string `json:"diff"` // unified
}

// names lists the files of both, sorted.
func names(a, b map[string]string) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// sourcesOf reads the files of a version, a number or the beginning of a digest.
func sourcesOf(ctx context.Context, store backend.Store, deployed []backend.Deployment, version string) (map[string]string, error) {
	digest, err := deployedDigest(deployed, version)
	if err != nil {
		return nil, err
	}
	if digest == "" {
		return nil, fmt.Errorf("workflow %s has no version %s; 'senpuki workflows history %s' lists them", deployed[0].Workflow, version, deployed[0].Workflow)
	}
	src, err := storedSources(ctx, store, digest)
	if err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for _, f := range src.Files {
		files[f.Path] = f.Text
	}
	return files, nil
}
