// The files of a workspace: what a script may load is in it.

package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// workspaceFS is the files below a directory. Links are followed as long as what they lead to is below it too: os.DirFS
// lets them lead anywhere, and os.Root refuses every link that is absolute.
type workspaceFS string

// Open implements fs.FS.
func (w workspaceFS) Open(name string) (file fs.File, err error) {
	err = w.at("open", name, func(root *os.Root, real string) error {
		file, err = root.Open(real)
		return err
	})
	return file, err
}

// Stat implements fs.StatFS: a pipe cannot be opened to see what it is.
func (w workspaceFS) Stat(name string) (info fs.FileInfo, err error) {
	err = w.at("stat", name, func(root *os.Root, real string) error {
		info, err = root.Stat(real)
		return err
	})
	return info, err
}

// at does something with what a name leads to.
func (w workspaceFS) at(op, name string, do func(root *os.Root, real string) error) error {
	refused := func(err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return refused(fs.ErrInvalid)
	}
	path := filepath.Join(string(w), filepath.FromSlash(name))
	real, inside, err := below(string(w), path)
	switch {
	case err != nil:
		return err
	case !inside:
		return refused(fmt.Errorf("a link leads out of the workspace, to %s; put the file itself into %s", real, string(w)))
	}
	root, err := os.OpenRoot(string(w))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // it was only read
	return do(root, real)
}

// notingFS notes the files of a workspace that are asked for, as they stood before they were read.
type notingFS struct {
	workspaceFS
	noted fileSet
}

// Open implements fs.FS.
func (n notingFS) Open(name string) (fs.File, error) {
	n.note(name)
	return n.workspaceFS.Open(name)
}

// Stat implements fs.StatFS.
func (n notingFS) Stat(name string) (fs.FileInfo, error) {
	n.note(name)
	return n.workspaceFS.Stat(name)
}

func (n notingFS) note(name string) {
	n.noted.note(filepath.Join(string(n.workspaceFS), filepath.FromSlash(name)))
}

// below follows the links of a path. What they lead to is relative to a directory when it lies below it, whatever links lead to that, else absolute.
func below(dir, path string) (real string, inside bool, err error) {
	if !filepath.IsAbs(path) { // not filepath.Abs, for which a/.. is nothing also where a is a link
		cwd, err := os.Getwd()
		if err != nil {
			return "", false, err
		}
		path = cwd + string(filepath.Separator) + path
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", false, err
	}
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return "", false, err
	}
	if rel, err := filepath.Rel(dir, real); err == nil && filepath.IsLocal(rel) {
		return rel, true, nil
	}
	return real, false, nil
}
