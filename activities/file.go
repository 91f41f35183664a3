// The stock activities file.read, file.write and file.glob.

package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// RegisterFile registers file.read(path), file.write(path, text) and
// file.glob(pattern).
//
// file.read returns a text; a file that is not UTF-8 is refused with kind NotText. file.write replaces
// a file whole, as [ReplaceFile] does. Both fail with NotFound, PermissionDenied or FileError. file.glob returns a
// sorted list of files, empty when nothing matches: * ? [a-z] within a name, ** for any number of
// directories. A pattern that ends in a slash lists directories instead, each with a slash.
// Names that begin with a dot match only patterns that say the dot. Symbolic
// links to directories are not followed by **.
func RegisterFile(r *Registry) error {
	return registerAll(r,
		registration{"file.read", readFile, Options{Params: []string{"path"}, Doc: "Read a file as text."}},
		registration{"file.write", writeFile, Options{Params: []string{"path", "text"}, Doc: "Write a text to a file, replacing it whole."}},
		registration{"file.glob", glob, Options{Params: []string{"pattern"}, Doc: "List the files that match a pattern, sorted."}},
	)
}

// maxFile bounds what is read of a file.
const maxFile = 64 << 20

func readFile(ctx context.Context, name string) (string, error) {
	b, err := contents(ctx, name)
	if err != nil {
		return "", fileError(err)
	}
	if len(b) > maxFile {
		return "", Fail("OutputTooLarge", fmt.Sprintf("%s has more than %d MiB", name, maxFile>>20), NotRetryable())
	}
	if !utf8.Valid(b) {
		return "", Fail("NotText", name+" is not UTF-8 text", NotRetryable())
	}
	return string(b), nil
}

// contents is what a file holds, up to a byte more than is taken.
func contents(ctx context.Context, name string) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return patient(ctx, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// patient is contents of a named pipe or a device, which may have nothing yet: the end of ctx ends the waiting. Only a
// writer ends the opening of a pipe that has none, and one of our own would be the end of the text for whoever else
// reads it: so that goroutine outlives the call until a writer comes, and then reads nothing.
func patient(ctx context.Context, name string) ([]byte, error) {
	type read struct {
		b   []byte
		err error
	}
	done := make(chan read, 1)
	go func() {
		f, err := os.Open(name)
		if err != nil {
			done <- read{nil, err}
			return
		}
		defer f.Close()
		defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
		b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		done <- read{b, err}
	}()
	select {
	case r := <-done:
		if errors.Is(r.err, os.ErrDeadlineExceeded) {
			r.err = context.Cause(ctx)
		}
		return r.b, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func writeFile(ctx context.Context, name, text string) error {
	if why := noFile(name); why != "" {
		return badArguments("file.write: %s", why)
	}
	err := ReplaceFile(ctx, name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fileError(err)
	}
	return nil
}

// fileError gives the errors of files kinds that scripts can match; what
// will not change by itself is not retried.
func fileError(err error) error {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure
	case errors.Is(err, fs.ErrNotExist):
		return Fail(KindNotFound, err.Error(), NotRetryable())
	case errors.Is(err, fs.ErrPermission):
		return Fail("PermissionDenied", err.Error(), NotRetryable())
	}
	return Fail("FileError", err.Error())
}

func glob(ctx context.Context, pattern string) ([]string, error) {
	slashed := filepath.ToSlash(pattern)
	if slashed == "" {
		return nil, badArguments("file.glob: the pattern is empty")
	}
	for segment := range strings.SplitSeq(slashed, "/") {
		if _, err := path.Match(segment, ""); err != nil {
			return nil, badArguments("file.glob: %q is not a pattern: %v", pattern, err)
		}
	}
	g := globber{ctx: ctx, found: map[string]bool{}, dirs: strings.HasSuffix(slashed, "/")}
	base, segments := "", strings.Split(strings.TrimSuffix(slashed, "/"), "/")
	if volume := filepath.VolumeName(pattern); volume != "" {
		base, segments[0] = volume, strings.TrimPrefix(segments[0], filepath.ToSlash(volume))
	}
	if segments[0] == "" {
		base, segments = base+"/", segments[1:]
	}
	if err := g.match(base, segments); err != nil {
		return nil, err
	}
	out := make([]string, 0, len(g.found))
	for name := range g.found {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

type globber struct {
	ctx   context.Context
	found map[string]bool
	dirs  bool // directories are looked for, not files
}

// add keeps a match when it is of the kind that is looked for.
func (g *globber) add(name string) {
	name = filepath.FromSlash(name)
	info, err := os.Stat(name)
	if err != nil || info.IsDir() != g.dirs {
		return
	}
	if g.dirs {
		name = strings.TrimSuffix(name, string(filepath.Separator)) + string(filepath.Separator)
	}
	g.found[name] = true
}

func joined(base, name string) string {
	if base == "" || strings.HasSuffix(base, "/") {
		return base + name
	}
	return base + "/" + name
}

// match finds what fits the segments below base. Directories that cannot be
// read have nothing in them that matches.
func (g *globber) match(base string, segments []string) error {
	if err := g.ctx.Err(); err != nil {
		return context.Cause(g.ctx)
	}
	if len(segments) == 0 {
		g.add(base)
		return nil
	}
	segment, rest := segments[0], segments[1:]
	if segment == "**" {
		return g.descend(base, rest)
	}
	if !strings.ContainsAny(segment, `*?[\`) {
		next := joined(base, segment)
		if _, err := os.Lstat(filepath.FromSlash(next)); err != nil {
			return nil
		}
		return g.match(next, rest)
	}
	for _, entry := range g.entries(base) {
		name := entry.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(segment, ".") {
			continue
		}
		if ok, _ := path.Match(segment, name); !ok {
			continue
		}
		if err := g.match(joined(base, name), rest); err != nil {
			return err
		}
	}
	return nil
}

// descend is the segment **: here, and in every directory below.
func (g *globber) descend(base string, rest []string) error {
	for len(rest) > 0 && rest[0] == "**" {
		rest = rest[1:]
	}
	if len(rest) > 0 || base != "" {
		if err := g.match(base, rest); err != nil {
			return err
		}
	}
	for _, entry := range g.entries(base) {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		next := joined(base, entry.Name())
		switch {
		case entry.IsDir():
			if err := g.descend(next, rest); err != nil {
				return err
			}
		case len(rest) == 0:
			g.add(next)
		}
	}
	return nil
}

func (g *globber) entries(base string) []fs.DirEntry {
	if base == "" {
		base = "."
	}
	entries, err := os.ReadDir(filepath.FromSlash(base))
	if err != nil {
		return nil
	}
	return entries
}
