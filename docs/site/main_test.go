package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The site builds, with all links; that is also how the documents' links are checked.
func TestBuild(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	n, err := build("../..", out)
	if err != nil {
		t.Error(err)
	}
	files, globErr := filepath.Glob(filepath.Join(out, "*.html"))
	if globErr != nil || len(files) != n || n < 9 {
		t.Fatalf("%d pages, %d files", n, len(files))
	}
	index, err := os.ReadFile(filepath.Join(out, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title>Senpuki</title>", `<a href="index.html" aria-current="page">`, `href="guide.html"`, "<table>"} {
		if !strings.Contains(string(index), want) {
			t.Errorf("the first page has no %s", want)
		}
	}
}

func TestEveryPageHasAPlace(t *testing.T) {
	t.Parallel()
	pages, err := read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if place(p.Source) == len(order) {
			t.Errorf("%s is not in the order of the menu", p.Source)
		}
	}
}

func TestLinksThatLeadNowhere(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"README.md": "# A\n[x](docs/b.md#there) [y](docs/gone.md) [z](docs/b.md#gone)", "docs/b.md": "# B\n## There\n[up](../README.md)",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := build(root, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "docs/gone.md, which is not there") || !strings.Contains(err.Error(), "has no heading gone") || strings.Contains(err.Error(), "#there") {
		t.Error(err)
	}
}
