// The documents that docs/cli.md describes are those that commands print.

package cli

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/cmd/senpuki/bench"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// documents has, for the first words of each row of the tables, the types whose fields the row names. It names
// all but those of an embedded type, which are those of another row.
var documents = map[string][]any{
	"exec": {}, "list": {}, "watch": {}, "dlq list": {},
	"show":               {shownExecution{}, waiting{}, child{}},
	"history":            {engine.History{}},
	"replay":             {engine.Retraced{}, starlark.Frame{}, starlark.Variable{}},
	"logs":               {engine.LogLine{}},
	"dispatch":           {dispatched{}},
	"signal":             {sentSignal{}},
	"deploy":             {deployed{}},
	"workflows list":     {deployment{}},
	"workflows show":     {shownDeployment{}, starlark.File{}},
	"workflows rollback": {deployment{}},
	"workflows diff":     {workflowDiff{}, fileDiff{}},
	"workers":            {workerView{}, engine.SessionInfo{}, engine.RunningBody{}},
	"tasks list":         {taskView{}},
	"tasks show":         {shownTask{}},
	"dlq show":           {shownLetter{}},
	"dlq replay":         {movedLetter{}},
	"cache list":         {memoView{}},
	"cache clear":        {cleared{}},
	"stats":              {statsView{}, queueView{}},
	"gc":                 {collected{}},
	"db migrate":         {databaseView{}},
	"db check":           {engine.Problem{}},
	"upgrade":            {upgradeReport{}},
	"check":              {starlark.Problem{}},
	"test":               {testRecord{}},
	"bench":              {bench.Result{}},
	"init":               {begun{}},
	"version":            {versionInfo{}},

	"an execution":  {engine.Execution{}, backend.Stuck{}},
	"a failure":     {activities.Failure{}},
	"a step":        {engine.Step{}},
	"an attempt":    {engine.Attempt{}},
	"an entry":      {engine.Entry{}},
	"tries":         {engine.Tries{}},
	"a dead letter": {letterView{}},
	"a verdict":     {engine.Verdict{}},
}

// silent are the commands that print no document.
var silent = []string{"worker", "help", "completion bash", "completion fish", "completion powershell", "completion zsh"}

var (
	docRow  = regexp.MustCompile(`(?m)^\| (.+?) \| (.+) \|$`)
	docWord = regexp.MustCompile("`([^`]+)`")
)

func TestDocumentsOfTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "With `--json` a command prints")
	text, _, _ = strings.Cut(text, "\n## ")
	var commands []string
	rows := make(map[string]bool)
	for _, m := range docRow.FindAllStringSubmatch(text, -1) {
		row := strings.Trim(strings.Split(m[1], ",")[0], "`")
		types, known := documents[row]
		if !known {
			if row != "command" && row != "part" && row != "---" {
				t.Errorf("the test does not know what %q prints", row)
			}
			continue
		}
		rows[row] = true
		for _, name := range docWord.FindAllStringSubmatch(m[1], -1) {
			commands = append(commands, name[1])
		}
		own, all := fields(types)
		var named []string
		for _, word := range docWord.FindAllStringSubmatch(m[2], -1) {
			if named = append(named, word[1]); !slices.Contains(all, word[1]) {
				t.Errorf("%s: there is no field %s", row, word[1])
			}
		}
		for _, field := range own {
			if !slices.Contains(named, field) {
				t.Errorf("%s: field %s is not named", row, field)
			}
		}
	}
	for row := range documents {
		if !rows[row] {
			t.Errorf("%s: there is no row", row)
		}
	}
	a := &app{registry: activities.NewRegistry(), out: &output{}, env: func(string) string { return "" }}
	for _, c := range leaves(a.root()) {
		if name := strings.TrimPrefix(c.CommandPath(), "senpuki "); !slices.Contains(commands, name) && !slices.Contains(silent, name) {
			t.Errorf("%s: there is no row of the command", name)
		}
	}
}

// fields are the names that fields of types have in JSON: their own, and those with the ones of embedded types.
func fields(types []any) (own, all []string) {
	for _, v := range types {
		typ := reflect.TypeOf(v)
		for _, f := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			if all = append(all, name); len(f.Index) == 1 {
				own = append(own, name)
			}
		}
	}
	return own, all
}

// leaves are the commands that do something.
func leaves(c *cobra.Command) (list []*cobra.Command) {
	if !c.HasSubCommands() {
		return []*cobra.Command{c}
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			list = append(list, leaves(sub)...)
		}
	}
	return list
}
