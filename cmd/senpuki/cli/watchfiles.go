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

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files must be quiet: editors write several, and by renaming.
	settle = 100 * time.Millisecond
	// lookEvery is how often files are looked at in any case. What the system tells of changes is bound to the directories that
	// there were, and knows nothing of those that take their place: a link that is set anew, a directory that is moved there.
	lookEvery = 2 * time.Second
	// lookShare is how many times as long as a look the pause after it is at least: a large tree costs little of a processor, too.
	lookShare = 50
)

// watchFiles calls changed at once, and whenever scripts or JSON files below
// dir have changed and are quiet again, until ctx ends. A dir that is away for a while is empty. The files that changed has read are
// watched, too, wherever they lie: what a script loads may be above dir, or beside the file that a link leads to.
func watchFiles(ctx context.Context, dir string, changed func() (read fileSet)) {
	w, err := fsnotify.NewWatcher()
	if err != nil { // the system gives no more of them
		lookAtFiles(ctx, dir, nil, nil, changed)
		return
	}
	defer func() { _ = w.Close() }()
	news := make(chan struct{}, 1)
	go func() {
		for events, errs := w.Events, w.Errors; ; {
			select {
			case e, ok := <-events:
				if !ok {
					return
				}
				if !mayMatter(e) {
					continue
				}
			case _, ok := <-errs: // events were lost
				if !ok {
					return
				}
			}
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	lookAtFiles(ctx, dir, news, func(dir string) { _ = w.Add(dir) }, changed) // one that cannot be added is looked at
}

// mayMatter reports whether files may have changed that are watched: not those of a database that lies beside them. What it
// takes wrongly for something else is seen by the next look.
func mayMatter(e fsnotify.Event) bool {
	ext := filepath.Ext(e.Name)
	switch {
	case ext == ".star" || ext == ".json":
		return true
	case ext == "" || strings.HasPrefix(filepath.Base(e.Name), ".."): // a directory, or a link to one; in a mounted ConfigMap it is ..data
		return e.Has(fsnotify.Create) || e.Has(fsnotify.Rename) || e.Has(fsnotify.Remove)
	}
	return false
}

// lookAtFiles is watchFiles that looks after news of the directories that it has asked for, and now and then.
func lookAtFiles(ctx context.Context, dir string, news <-chan struct{}, ask func(dir string), changed func() fileSet) {
	var told, before, read fileSet
	for {
		began := time.Now()
		below, dirs := filesBelow(dir)
		now := below.with(read.again(dirs))
		for d := range dirs { // each time: another may have taken its place
			if ask != nil {
				ask(d)
			}
		}
		rest := lookShare * time.Since(began)
		pause := max(lookEvery, rest)
		switch {
		case told == nil, now.same(before) && !now.same(told):
			read = changed()
			told = below.with(read) // what has changed since is found by the next look
			now = told
		case !now.same(before):
			pause = settle
		}
		before = now
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-news:
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(settle, rest/10)):
			}
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

// with is a set and those of another one that it lacks. What is noted as missing is not in it.
func (s fileSet) with(others fileSet) fileSet {
	both := maps.Clone(s)
	for path, info := range others {
		if both[path] == nil && info != nil {
			both[path] = info
		}
	}
	return both
}

// note adds how a file stands, or that there is none, unless it was noted before.
func (s fileSet) note(path string) {
	if _, ok := s[path]; !ok {
		s[path], _ = os.Stat(path)
	}
}

// again is how the same files stand now; the directories where they may change are added to dirs.
func (s fileSet) again(dirs map[string]bool) fileSet {
	now := make(fileSet, len(s))
	for path := range s {
		now.note(path)
		dirs[filepath.Dir(path)] = true
		addTarget(dirs, path)
	}
	return now
}

// addTarget adds the directory of the file that a link leads to: nothing is told of it where the link is.
func addTarget(dirs map[string]bool, path string) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		dirs[filepath.Dir(real)] = true
	}
}

// filesBelow are the scripts and JSON files of a directory and of those below it that are not hidden, and the directories where they
// may change. Links are followed, each directory is looked into once, and what cannot be read is not there.
func filesBelow(dir string) (found fileSet, dirs map[string]bool) {
	found, dirs = fileSet{}, map[string]bool{}
	looked := map[string]bool{}
	var look func(dir string)
	look = func(dir string) {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil || looked[dir] {
			return
		}
		looked[dir], dirs[dir] = true, true
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
				if e.Type()&fs.ModeSymlink != 0 {
					addTarget(dirs, path)
				}
			}
		}
	}
	look(dir)
	return found, dirs
}
