// Command site makes HTML of the documentation:
//
//	go run ./docs/site -out dist/site
//
// Every Markdown file of docs/ becomes a page, README.md the first one. Links
// between them are kept, and one that leads nowhere is an error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
)

func main() {
	log.SetFlags(0)
	from := flag.String("from", ".", "root of the repository")
	out := flag.String("out", "dist/site", "directory to write to")
	flag.Parse()
	n, err := build(*from, *out)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d pages in %s\n", n, *out)
}

// page is one document.
type page struct {
	Source string // path from the root of the repository
	Name   string // file name of the HTML
	Title  string
	Body   template.HTML
	ids    map[string]bool // of its headings
}

// order of the pages in the menu; others follow by name.
var order = []string{"README.md", "docs/getting-started.md", "docs/concepts.md", "docs/guide.md", "docs/language.md", "docs/cli.md", "docs/go.md", "docs/guarantees.md", "docs/operations.md", "docs/coming-from.md", "docs/benchmarks.md"}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.GFM),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithUnsafe()), // the documents are our own
)

var (
	title  = regexp.MustCompile(`(?m)^# (.+)$`)
	anchor = regexp.MustCompile(`<h\d id="([^"]+)">`)
	link   = regexp.MustCompile(`href="([^"]+)"`)
)

// build writes the site and returns how many pages it has.
func build(root, out string) (int, error) {
	pages, err := read(root)
	if err != nil {
		return 0, err
	}
	bySource := make(map[string]*page, len(pages))
	for _, p := range pages {
		bySource[p.Source] = p
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 0, err
	}
	var errs []error
	for _, p := range pages {
		body := link.ReplaceAllStringFunc(string(p.Body), func(l string) string {
			to, err := p.resolve(root, link.FindStringSubmatch(l)[1], bySource)
			if err != nil {
				errs = append(errs, err)
			}
			return `href="` + to + `"`
		})
		var b bytes.Buffer
		if err := layout.Execute(&b, map[string]any{"Page": p, "Pages": pages, "Body": template.HTML(body)}); err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(out, p.Name), b.Bytes(), 0o644); err != nil {
			return 0, err
		}
	}
	return len(pages), errors.Join(errs...)
}

// read renders all documents.
func read(root string) (pages []*page, err error) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	sources := []string{"README.md"}
	for _, f := range files {
		sources = append(sources, "docs/"+filepath.Base(f))
	}
	slices.SortStableFunc(sources, func(a, b string) int { return place(a) - place(b) })
	for _, source := range sources {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(source)))
		if err != nil {
			return nil, err
		}
		p := &page{Source: source, Name: strings.TrimSuffix(path.Base(source), ".md") + ".html", Title: source, ids: make(map[string]bool)}
		if source == "README.md" {
			p.Name = "index.html"
		}
		if m := title.FindSubmatch(text); m != nil {
			p.Title = string(m[1])
		}
		var b bytes.Buffer
		if err := markdown.Convert(text, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		p.Body = template.HTML(b.String())
		for _, m := range anchor.FindAllStringSubmatch(b.String(), -1) {
			p.ids[m[1]] = true
		}
		pages = append(pages, p)
	}
	return pages, nil
}

func place(source string) int {
	if i := slices.Index(order, source); i >= 0 {
		return i
	}
	return len(order)
}

// resolve turns a link of a document into one of the site.
func (p *page) resolve(root, to string, pages map[string]*page) (string, error) {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return to, nil
	}
	file, id, _ := strings.Cut(to, "#")
	target := p
	if file != "" {
		source := path.Join(path.Dir(p.Source), file)
		var ok bool
		if target, ok = pages[source]; !ok {
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(source))); err != nil {
				return to, fmt.Errorf("%s links to %s, which is not there", p.Source, to)
			}
			return to, nil // a file of the repository
		}
	}
	switch {
	case id == "":
		return target.Name, nil
	case !target.ids[id]:
		return to, fmt.Errorf("%s links to %s, but %s has no heading %s", p.Source, to, target.Source, id)
	}
	return target.Name + "#" + id, nil
}

var layout = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Page.Title}}</title>
<style>
body { display: grid; grid-template-columns: 14em minmax(0, 48em); gap: 3em; margin: 2em; font: 16px/1.55 system-ui, sans-serif; color: #222; }
nav a { display: block; padding: .2em 0; color: #246; text-decoration: none; }
nav a[aria-current] { font-weight: 600; }
pre { background: #f5f5f2; padding: 1em; overflow-x: auto; font-size: 14px; line-height: 1.4; }
code { background: #f5f5f2; padding: 0 .2em; } pre code { padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; } th, td { border: 1px solid #ddd; padding: .3em .6em; text-align: left; vertical-align: top; }
@media (max-width: 50em) { body { display: block; margin: 1em; } }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } nav a, a { color: #8bf; } pre, code { background: #242424; } th, td { border-color: #444; } }
</style>
<nav>{{range .Pages}}<a href="{{.Name}}"{{if eq .Name $.Page.Name}} aria-current="page"{{end}}>{{.Title}}</a>{{end}}</nav>
<main>{{.Body}}</main>
</html>
`))
