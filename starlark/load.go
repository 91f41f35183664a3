// Load closures: gathering the files of a script, and their digest.

package starlark

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"go.starlark.net/syntax"
)

// dialect names the settings of the language that a digest covers.
const dialect = "senpuki/1 set while toplevelcontrol recursion"

var fileOptions = &syntax.FileOptions{Set: true, While: true, TopLevelControl: true, Recursion: true}

// File is one file of a load closure. Path is relative to the root of the
// workspace, slash-separated, or "@std/...".
type File struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Sources is a load closure: the text of every file, sorted by path.
type Sources struct {
	Entry string
	Files []File
}

type sourcesJSON struct {
	Dialect string `json:"dialect"`
	Entry   string `json:"entry"`
	Files   []File `json:"files"`
}

// MarshalJSON writes the sources with their dialect.
func (s *Sources) MarshalJSON() ([]byte, error) {
	return json.Marshal(sourcesJSON{Dialect: dialect, Entry: s.Entry, Files: s.Files})
}

// ParseSources reads what MarshalJSON wrote.
func ParseSources(b []byte) (*Sources, error) {
	var j sourcesJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, err
	}
	if j.Dialect != dialect {
		return nil, fmt.Errorf("source is in dialect %q, this release runs %q", j.Dialect, dialect)
	}
	return &Sources{Entry: j.Entry, Files: j.Files}, nil
}

// Digest is the SHA-256 of the dialect, the entry and every file, in hex.
func (s *Sources) Digest() string {
	h := sha256.New()
	part := func(text string) {
		fmt.Fprintf(h, "%d:", len(text))
		_, _ = io.WriteString(h, text)
	}
	part(dialect)
	part(s.Entry)
	for _, f := range s.Files {
		part(f.Path)
		part(f.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s *Sources) file(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(s.Files, name, func(f File, n string) int { return strings.Compare(f.Path, n) })
	if !ok {
		return "", false
	}
	return s.Files[i].Text, true
}

// Gather reads entry and everything that it loads. read gets clean paths
// relative to the root, and "@std/..." as such. The error is Problems.
func Gather(entry string, read func(path string) (string, error)) (*Sources, error) {
	g := &gatherer{read: read, texts: make(map[string]string)}
	entry = path.Clean(entry)
	text, err := read(entry)
	if err != nil {
		return nil, Problems{{File: entry, Severity: SeverityError, Message: "cannot be read: " + reason(err)}}
	}
	g.visit(entry, text, nil)
	if len(g.problems) > 0 {
		return nil, g.problems
	}
	s := &Sources{Entry: entry}
	for name, text := range g.texts {
		s.Files = append(s.Files, File{Path: name, Text: text})
	}
	slices.SortFunc(s.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return s, nil
}

// reason is the innermost error: paths are said by the problem already.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

type gatherer struct {
	read     func(string) (string, error)
	texts    map[string]string
	problems Problems
}

func (g *gatherer) visit(name, text string, stack []string) {
	g.texts[name] = text
	if strings.HasSuffix(name, ".json") {
		if !json.Valid([]byte(text)) {
			g.problems = append(g.problems, Problem{File: name, Severity: SeverityError, Message: "is not JSON"})
		}
		return
	}
	f, err := fileOptions.Parse(name, text, 0)
	if err != nil {
		g.problems = append(g.problems, problemsOf(name, text, err)...)
		return
	}
	stack = append(stack, name)
	for _, l := range loadsOf(f) {
		target, err := resolveLoad(name, l.Module.Value.(string))
		if err != nil {
			g.problems = append(g.problems, problemAt(l.Module.TokenPos, "%v", err))
			continue
		}
		if i := slices.Index(stack, target); i >= 0 {
			cycle := strings.Join(append(slices.Clone(stack[i:]), target), " -> ")
			g.problems = append(g.problems, problemAt(l.Module.TokenPos, "load cycle: %s", cycle))
			continue
		}
		if _, ok := g.texts[target]; ok {
			continue
		}
		text, err := g.read(target)
		if err != nil {
			g.problems = append(g.problems, problemAt(l.Module.TokenPos, "cannot load %s: %s%s", target, reason(err), g.nearest(target)))
			continue
		}
		g.visit(target, text, stack)
	}
}

// nearest names a file that may have been meant: with .star, or among those that were read.
func (g *gatherer) nearest(target string) string {
	if path.Ext(target) == "" {
		if _, err := g.read(target + ".star"); err == nil {
			return "; did you mean " + target + ".star?"
		}
	}
	return ""
}

// loadsOf lists the load statements of a file.
func loadsOf(f *syntax.File) []*syntax.LoadStmt {
	var loads []*syntax.LoadStmt
	syntax.Walk(f, func(n syntax.Node) bool {
		if l, ok := n.(*syntax.LoadStmt); ok {
			loads = append(loads, l)
		}
		return true
	})
	return loads
}

// resolveLoad turns what a load statement of file from says into a path.
func resolveLoad(from, module string) (string, error) {
	std := strings.HasPrefix(from, "@std/")
	switch {
	case module == "":
		return "", errors.New("load of nothing")
	case strings.HasPrefix(module, "@std/"):
		return path.Clean(module), nil
	case strings.HasPrefix(module, "@"):
		return "", fmt.Errorf("cannot load %s: there is only @std", module)
	case strings.HasPrefix(module, "//"):
		module = strings.TrimPrefix(module, "//")
	case strings.HasPrefix(module, "/"):
		return "", fmt.Errorf("cannot load %s: absolute paths are not allowed; write ./file.star or //dir/file.star", module)
	default:
		module = path.Join(path.Dir(from), module)
	}
	module = path.Clean(module)
	if module == ".." || strings.HasPrefix(module, "../") {
		return "", fmt.Errorf("cannot load %s: it is outside the root of the workspace", module)
	}
	if std && !strings.HasPrefix(module, "@std/") {
		return "", fmt.Errorf("the standard library cannot load %s", module)
	}
	return module, nil
}
