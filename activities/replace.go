// Replacing a file whole, by an attempt that may die while it does.

package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ReplaceFile makes a file of what write writes, whole or not at all, wherever the process dies. It keeps the permissions of
// the file that was there, makes the directories above it, and follows a symbolic link; what is no regular file it leaves alone.
//
// The text is written to a file beside it whose name is no other attempt's, which at the end is renamed: of several that do so at
// once one comes last, and each leaves a whole file. What earlier attempts of the same step have left there by dying is removed.
// One that was given up and goes on all the same replaces nothing.
func ReplaceFile(ctx context.Context, name string, write func(w io.Writer) error) error {
	if why := noFile(name); why != "" {
		return errors.New(why)
	}
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		if info.IsDir() {
			return fmt.Errorf("%s is a directory", name)
		}
		if !info.Mode().IsRegular() { // a device or a pipe would be gone
			return fmt.Errorf("%s is no regular file, which could be replaced", name)
		}
		mode = info.Mode().Perm()
	}
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	info := Info(ctx)
	prefix, mine := draftPrefix(&info, filepath.Base(name))
	if mine {
		removeDrafts(dir, prefix, info.Attempt)
		prefix += strconv.Itoa(info.Attempt) + "."
	}
	f, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return err
	}
	renamed := false
	defer func() {
		if !renamed { // also when write panics
			_ = f.Close() // it may be closed already
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	// The step's outcome is durable, so what it says must be too.
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	renamed = true
	return nil
}

// noFile says why a path cannot be a file's, "" when it can.
func noFile(name string) string {
	if name == "" {
		return "the path is empty"
	}
	if base := filepath.Base(name); os.IsPathSeparator(name[len(name)-1]) || base == "." || base == ".." {
		return name + " names a directory, not a file"
	}
	return ""
}

// draftPrefix is how the names begin of the files that a step writes before they replace one: with that one's name, as far as there is
// room for it, for whoever finds what a crash has left, and with what is the same in all attempts of the step, and nowhere else. mine
// is false outside of a step. A name that does not tell steps and attempts apart would let one meddle with what another one writes.
func draftPrefix(info *AttemptInfo, base string) (prefix string, mine bool) {
	prefix = "." + strings.ToValidUTF8(base[:min(len(base), 100)], "") + "."
	if info.IdempotencyKey == "" {
		return prefix, false
	}
	sum := sha256.Sum256([]byte(info.IdempotencyKey + "\x00" + base))
	return prefix + hex.EncodeToString(sum[:8]) + ".", true
}

// removeDrafts removes the drafts of the attempts before one. One of those may be at it still: then it has nothing to rename. Whoever
// calls may himself be over and not heed it, and so those of later attempts stay.
func removeDrafts(dir, prefix string, before int) {
	if before <= 1 {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // what is left is in nobody's way
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		number, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(number); ok && err == nil && n < before && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name())) // likewise
		}
	}
}
