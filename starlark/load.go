// Load closures: gathering the files of a script, and their digest.

package starlark

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/senpuki/senpuki/internal/spelling"
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

// MissingFile is what the read function of Gather returns when there is no such
// file; of the files that there are Gather suggests the nearest.
type MissingFile struct {
	Have []string
}

func (*MissingFile) Error() string { return "there is no such file" }

// Is makes it an fs.ErrNotExist.
func (*MissingFile) Is(target error) bool { return target == fs.ErrNotExist }

// Gather reads entry and everything that it loads. read gets clean paths
// relative to the root, and "@std/..." as such. The error is Problems; with it come the files that could be read, for [Judge].
func Gather(entry string, read func(path string) (string, error)) (*Sources, error) {
	g := &gatherer{read: read, texts: make(map[string]string)}
	entry = path.Clean(entry)
	if !utf8.ValidString(entry) {
		return nil, Problems{{File: entry, Severity: SeverityError, Message: "its path is not UTF-8: rename it"}}
	}
	if strings.ContainsFunc(entry, unicode.IsControl) { // the workflow would have them in its name
		return nil, Problems{{File: entry, Severity: SeverityError, Message: "its path has control characters: rename it"}}
	}
	text, err := read(entry)
	if err != nil {
		return nil, Problems{{File: entry, Severity: SeverityError, Message: "cannot be read: " + reason(err)}}
	}
	g.visit(entry, text, nil)
	s := &Sources{Entry: entry}
	for name, text := range g.texts {
		s.Files = append(s.Files, File{Path: name, Text: text})
	}
	slices.SortFunc(s.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if len(g.problems) > 0 {
		return s, g.problems.Sorted()
	}
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
	text = strings.TrimPrefix(text, "\ufeff") // some editors of Windows write a byte order mark
	g.texts[name] = text
	if p, bad := noText(name, text); bad {
		g.problems = append(g.problems, p)
		return
	}
	if strings.HasSuffix(name, ".json") {
		if p, bad := jsonProblem(name, text); bad {
			g.problems = append(g.problems, p)
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
		text, err := g.text(target)
		if err != nil {
			g.problems = append(g.problems, problemAt(l.Module.TokenPos, "cannot load %s: %s%s", target, reason(err), nearestFile(name, target, err)))
			continue
		}
		if strings.HasSuffix(target, ".json") {
			g.problems = append(g.problems, jsonNames(l)...)
		}
		if _, ok := g.texts[target]; !ok {
			g.visit(target, text, stack)
		}
	}
}

func (g *gatherer) text(name string) (string, error) {
	if text, ok := g.texts[name]; ok {
		return text, nil
	}
	return g.read(name)
}

// noText says where a text ceases to be UTF-8. A store keeps the sources as JSON, which
// could not give them back, so that their digest would be another one. And to the parser a NUL is the end: what
// is behind it would be ignored in silence.
func noText(name, text string) (Problem, bool) {
	p := Problem{File: name, Severity: SeverityError, Line: 1, Col: 1}
	if utf8.ValidString(text) && !strings.Contains(text, "\x00") {
		return p, false
	}
	for i, r := range text {
		if r == 0 {
			p.Message = `here is a NUL byte, and a script is text; in a string it is written "\x00"`
			return p, true
		}
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			p.Message = fmt.Sprintf("is not UTF-8: here is the byte 0x%02x; save the file as UTF-8", text[i])
			return p, true
		}
		if p.Col++; r == '\n' {
			p.Line, p.Col = p.Line+1, 1
		}
	}
	return p, false
}

// jsonProblem says where a text ceases to be JSON.
func jsonProblem(name, text string) (Problem, bool) {
	p := Problem{File: name, Severity: SeverityError}
	if err := shallowText(star.String(text)); err != nil {
		p.Message = err.Error()
		return p, true
	}
	var v json.RawMessage
	err := json.Unmarshal([]byte(text), &v)
	if err == nil {
		return p, false
	}
	end := len(text)
	var bad *json.SyntaxError
	if errors.As(err, &bad) && bad.Offset > 0 && !endsEarly(text) {
		end = min(int(bad.Offset)-1, len(text))
	}
	before := text[:end]
	p.Line = strings.Count(before, "\n") + 1
	p.Col = len(before) - strings.LastIndexByte(before, '\n')
	p.Message = "is not JSON: " + err.Error()
	return p, true
}

// endsEarly tells whether a text is the beginning of a JSON value. The offset of the error does not: it
// is the length also where the last character is wrong.
func endsEarly(text string) bool {
	var v json.RawMessage
	err := json.NewDecoder(strings.NewReader(text)).Decode(&v)
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// jsonNames refuses to load anything but the value of a JSON file.
func jsonNames(l *syntax.LoadStmt) (problems Problems) {
	for i, from := range l.From {
		if from.Name != "json" {
			module := l.Module.Value.(string)
			problems = append(problems, problemAt(from.NamePos, "a JSON file has one name, \"json\": write load(%q, %s = \"json\")", module, l.To[i].Name))
		}
	}
	return problems
}

// nearestFile suggests what to load instead of a missing target: the file of
// nearly that path, or the one of that name elsewhere.
func nearestFile(from, target string, err error) string {
	var missing *MissingFile
	if !errors.As(err, &missing) {
		return ""
	}
	best, distance := "", 4
	for _, have := range missing.Have {
		d := spelling.Distance(target, have)
		switch {
		case have == from:
			continue
		case have == target+".star" || path.Base(have) == path.Base(target):
			d = min(d, 1)
		}
		if d < distance {
			best, distance = have, d
		}
	}
	switch {
	case best != "":
		return "; did you mean " + asLoaded(from, best) + "?"
	case strings.HasPrefix(target, "@std/"):
		return "; there are " + strings.Join(missing.Have, ", ")
	}
	return ""
}

// asLoaded is how the file from names another one.
func asLoaded(from, target string) string {
	dir := path.Dir(from)
	switch {
	case strings.HasPrefix(target, "@"):
		return target
	case dir == ".":
		return "./" + target
	case strings.HasPrefix(target, dir+"/"):
		return "./" + strings.TrimPrefix(target, dir+"/")
	}
	return "//" + target
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
	written, dir := module, strings.HasSuffix(module, "/")
	switch {
	case module == "":
		return "", errors.New("load of nothing")
	case strings.HasPrefix(module, "@std/"):
		if clean := path.Clean(module); strings.HasPrefix(clean, "@std/") {
			return clean, nil
		}
		return "", fmt.Errorf("cannot load %s: it is outside the standard library", module)
	case strings.Contains(module, "\\"):
		return "", fmt.Errorf("cannot load %s: write / between directories", module)
	case strings.HasPrefix(module, "@"):
		return "", fmt.Errorf("cannot load %s: there is only @std", module)
	case strings.HasPrefix(module, "//"):
		module = strings.TrimPrefix(module, "//")
	case strings.HasPrefix(module, "/"):
		return "", fmt.Errorf("cannot load %s: absolute paths are not allowed; write ./file.star or //dir/file.star", module)
	default:
		module = path.Join(path.Dir(from), module)
	}
	clean := path.Clean(module)
	switch {
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", fmt.Errorf("cannot load %s: it is outside the root of the workspace, which is the directory with senpuki.toml, else that of the script", written)
	case std && !strings.HasPrefix(clean, "@std/"):
		return "", fmt.Errorf("the standard library cannot load %s", written)
	case clean == "." || dir:
		return "", fmt.Errorf("cannot load %s: it names no file", written)
	}
	return clean, nil
}
