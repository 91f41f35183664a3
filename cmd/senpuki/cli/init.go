// senpuki init: begin a project.

package cli

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// scaffold has the files of new projects: those of both kinds, and those of each. The Go files
// of a project are a package of this module, so that they are compiled and tested with it.
//
//go:embed all:scaffold
var scaffold embed.FS

// placed are files whose names in the scaffold are not those in a project.
var placed = map[string]string{"gitignore": ".gitignore", "go.mod.txt": "go.mod"}

func (a *app) initCommand() *cobra.Command {
	var workflowOnly bool
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Begin a project",
		Long: `Begin a project in a directory, by default the working directory: a workflow with its tests, Go
activities and a program that has every command with them, a senpuki.toml and a README.
With --workflow-only there is no Go: the workflow calls stock activities. Nothing is overwritten.`,
		Example: `  senpuki init shop
  senpuki init --workflow-only`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return a.init(dir, workflowOnly)
		},
	}
	c.Flags().BoolVar(&workflowOnly, "workflow-only", false, "a project without Go")
	return c
}

// begun is what init --json prints.
type begun struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`          // written
	Kept  []string `json:"kept,omitempty"` // there already and left as they are
}

// newFile is a file of a new project.
type newFile struct {
	name string // with slashes
	text []byte
}

func (a *app) init(dir string, workflowOnly bool) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if at, err := os.Stat(dir); err == nil && !at.IsDir() || errors.Is(err, syscall.ENOTDIR) {
		return usage("%s is not a directory", dir)
	}
	kind, next := "project", "go mod tidy && go run . test"
	if workflowOnly {
		kind, next = "plain", "senpuki test"
	}
	files, err := projectFiles(filepath.Base(abs), "both", kind)
	if err != nil {
		return err
	}
	var kept, taken []string
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		switch {
		case f.name == "go.mod" && inModule(abs):
			files = append(files[:i], files[i+1:]...)
		case exists(filepath.Join(dir, f.name)) && f.name == ".gitignore":
			files, kept = append(files[:i], files[i+1:]...), append(kept, f.name)
		case exists(filepath.Join(dir, f.name)):
			taken = append(taken, f.name)
		}
	}
	if len(taken) > 0 {
		return usage("%s has %s already; nothing was written", dir, strings.Join(taken, ", "))
	}
	made := begun{Dir: dir, Files: []string{}, Kept: kept}
	for _, f := range files {
		if err := writeNew(filepath.Join(dir, filepath.FromSlash(f.name)), f.text); err != nil {
			return err
		}
		made.Files = append(made.Files, path.Join(filepath.ToSlash(dir), f.name))
		if !a.json {
			fmt.Fprintln(a.out, made.Files[len(made.Files)-1])
		}
	}
	if a.json {
		return a.printDocument(made)
	}
	for _, name := range kept {
		fmt.Fprintf(a.err, "%s is left as it is; it should name senpuki.db*\n", name)
	}
	if dir != "." {
		next = "cd " + quote(dir) + " && " + next
	}
	fmt.Fprintf(a.err, "next: %s; README.md has more\n", next)
	return nil
}

var (
	notModule = regexp.MustCompile(`[^a-z0-9._-]+`)
	// badModule are words that are no last element of a module's path: devices of Windows, versions.
	badModule = regexp.MustCompile(`^$|^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)|^v[0-9.]+$`)
)

// moduleName makes what a directory is called the last element of a module's path.
func moduleName(project string) string {
	name := strings.Trim(notModule.ReplaceAllString(strings.ToLower(project), "-"), ".-")
	if badModule.MatchString(name) {
		return "app"
	}
	return name
}

// projectFiles are the files of some directories of the scaffold.
func projectFiles(project string, dirs ...string) (files []newFile, err error) {
	words := strings.NewReplacer("PROJECT", project, "MODULE", moduleName(project))
	for _, dir := range dirs {
		root := "scaffold/" + dir
		err := fs.WalkDir(scaffold, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := scaffold.ReadFile(name)
			if err != nil {
				return err
			}
			name = strings.TrimPrefix(name, root+"/")
			if other, ok := placed[name]; ok {
				name = other
			}
			files = append(files, newFile{name, []byte(words.Replace(string(text)))})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// inModule reports whether a directory is in a Go module.
func inModule(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) {
			return true
		}
		if dir == filepath.Dir(dir) {
			return false
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// writeNew writes a file that does not exist yet.
func writeNew(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
