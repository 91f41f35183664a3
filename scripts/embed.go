// Package scripts is the Starlark standard library: the files that scripts load
// as "@std/NAME.star", embedded in the binary. They have no power of their
// own: everything in them is written with the built-ins that every script has.
package scripts

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed std/*.star
var files embed.FS

const prefix = "@std/"

// Read returns the text of a file of the standard library by the path that scripts
// load it with, "@std/http.star". The error of an unknown one wraps
// fs.ErrNotExist and lists what there is.
func Read(path string) (string, error) {
	name, ok := strings.CutPrefix(path, prefix)
	if ok && name != "" && !strings.Contains(name, "/") {
		if text, err := files.ReadFile("std/" + name); err == nil {
			return string(text), nil
		}
	}
	return "", fmt.Errorf("the standard library has no %s (there are %s): %w", path, strings.Join(Names(), ", "), fs.ErrNotExist)
}

// Names are the paths of all files, sorted.
func Names() []string {
	entries, err := files.ReadDir("std")
	if err != nil {
		return nil // the embedded directory is there
	}
	var names []string
	for _, e := range entries {
		names = append(names, prefix+e.Name())
	}
	return names
}
