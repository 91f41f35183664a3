// Watching files: worker --watch redeploys what changes, exec --watch runs it again.

package cli

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Files are looked at again and again. What the system tells of changes is bound to the directories that there were, and knows
// nothing of those that take their place: a link that is set anew, a directory that is made again or moved there.
const (
	lookEvery = 200 * time.Millisecond
	// lookShare is how many times as long as a look the pause after it is at least: a large tree costs little of a processor, too.
	lookShare = 50
	// settle is how long files must be quiet: editors write several, and by renaming.
	settle = 100 * time.Millisecond
)

// watchFiles calls changed at once, and whenever scripts or JSON files below
// dir have changed and are quiet again, until ctx ends. A dir that is away for a while is empty.
func watchFiles(ctx context.Context, dir string, changed func()) {
	var told, before fileSet
	for {
		began := time.Now()
		now := filesBelow(dir)
		pause := max(lookEvery, lookShare*time.Since(began))
		switch {
		case told == nil, now.same(before) && !now.same(told):
			changed()
			told = now // what has changed since is found by the next look
		case !now.same(before):
			pause = settle
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// fileSet is how files stand, by their paths.
type fileSet map[string]fs.FileInfo

func (s fileSet) same(as fileSet) bool {
	return maps.EqualFunc(s, as, func(a, b fs.FileInfo) bool {
		return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
	})
}

// filesBelow are the scripts and JSON files of a directory and of those below it that are not hidden. Links are followed, each
// directory is looked into once, and what cannot be read is not there.
func filesBelow(dir string) fileSet {
	found := fileSet{}
	looked := map[string]bool{}
	var look func(dir string)
	look = func(dir string) {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil || looked[dir] {
			return
		}
		looked[dir] = true
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			script := filepath.Ext(path) == ".star" || filepath.Ext(path) == ".json"
			if !script && !e.IsDir() && e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			switch info, err := os.Stat(path); {
			case err != nil:
			case info.IsDir() && !strings.HasPrefix(e.Name(), "."):
				look(path)
			case info.Mode().IsRegular() && script:
				found[path] = info
			}
		}
	}
	look(dir)
	return found
}
