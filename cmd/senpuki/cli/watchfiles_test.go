package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// What takes the place of a watched directory, or of what is in it, is seen, and so is what changes there later.
func TestWatchFilesSeesReplacements(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(path), 0o700))
		must(os.WriteFile(path, []byte(text), 0o600))
	}
	link := func(to, path string) { // as deployments do it: there is always one
		t.Helper()
		must(os.Symlink(to, path+".new"))
		must(os.Rename(path+".new", path))
	}
	type step struct {
		name string
		do   func(dir string)
	}
	for _, c := range []struct {
		name  string
		watch string
		begin func(dir string)
		steps []step
	}{
		{"files", "", func(dir string) { write(dir+"/a.star", "1") }, []step{
			{"saved", func(dir string) { write(dir+"/a.star", "22") }},
			{"saved by renaming", func(dir string) { write(dir+"/tmp", "33"); must(os.Rename(dir+"/tmp", dir+"/a.star")) }},
			{"below", func(dir string) { write(dir+"/lib/deep/d.json", "1") }},
			{"removed", func(dir string) { must(os.Remove(dir + "/a.star")) }},
		}},
		{"made again", "/wf", func(dir string) { write(dir+"/wf/a.star", "1") }, []step{
			{"gone", func(dir string) { must(os.RemoveAll(dir + "/wf")) }},
			{"back", func(dir string) { write(dir+"/wf/a.star", "1") }},
			{"saved", func(dir string) { write(dir+"/wf/a.star", "22") }},
		}},
		{"a link", "/current", func(dir string) {
			write(dir+"/r1/a.star", "1")
			write(dir+"/r2/a.star", "2")
			link("r1", dir+"/current")
		}, []step{
			{"swapped", func(dir string) { link("r2", dir+"/current") }},
			{"saved", func(dir string) { write(dir+"/r2/a.star", "22") }},
		}},
		{"mounted", "", func(dir string) {
			write(dir+"/..1/a.star", "1")
			write(dir+"/..2/a.star", "2")
			link("..1", dir+"/..data")
			link("..data/a.star", dir+"/a.star")
		}, []step{{"swapped", func(dir string) { link("..2", dir+"/..data") }}}},
		{"a directory below", "", func(dir string) { write(dir+"/lib/l.star", "1"); write(dir+"/..new/l.star", "2") }, []step{
			{"moved there", func(dir string) { must(os.Rename(dir+"/lib", dir+"/..old")); must(os.Rename(dir+"/..new", dir+"/lib")) }},
			{"saved", func(dir string) { write(dir+"/lib/l.star", "22") }},
		}},
		{"a link below", "", func(dir string) { write(dir+"/..1/l.star", "1"); link("..1", dir+"/lib"); link(".", dir+"/loop") }, []step{
			{"saved", func(dir string) { write(dir+"/..1/l.star", "22") }},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.begin(dir)
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var told atomic.Int32
				go lookAtFiles(ctx, dir+c.watch, nil, nil, func() fileSet {
					told.Add(1)
					return nil
				})
				want := int32(1) // at once
				for _, s := range append([]step{{"begun", func(string) {}}}, c.steps...) {
					s.do(dir)
					time.Sleep(10 * time.Second)
					if got := told.Load(); got != want { // and no more
						t.Fatalf("%s: told %d times, not %d", s.name, got, want)
					}
					want++
				}
			})
		})
	}
}

// What a script loads is watched wherever it lies: above the directory, or beside the file that a link leads to. Also what is missing, or broken.
func TestWatchFilesSeesWhatIsLoaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(dir+path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const lib, main = "def n():\n    return 1\n", "\ndef main():\n    return n()\n"
	write("/ws/senpuki.toml", "")
	write("/ws/lib/l.star", lib)
	write("/ws/lib/unused.star", lib)
	write("/ws/flows/above.star", `load("//lib/l.star", "n")`+main)
	write("/away/linked.star", `load("./beside.star", "n")`+main)
	write("/away/beside.star", lib)
	if err := os.Symlink("../../away/linked.star", dir+"/ws/flows/linked.star"); err != nil {
		t.Skip("no links here:", err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var told, broken atomic.Int32
		go lookAtFiles(ctx, dir+"/ws/flows", nil, nil, func() fileSet {
			told.Add(1)
			broken.Store(0)
			read := fileSet{}
			for _, name := range []string{"above", "linked"} {
				s, err := loadNoting(ctx, dir+"/ws/flows/"+name+".star", read)
				if err != nil || s.err != nil {
					broken.Add(1)
				}
			}
			return read
		})
		for _, step := range []struct {
			name         string
			do           func()
			told, broken int32
		}{
			{"begun", func() {}, 1, 0},
			{"above", func() { write("/ws/lib/l.star", lib+"# 2") }, 2, 0},
			{"beside", func() { write("/away/beside.star", lib+"# 2") }, 3, 0},
			{"unused", func() { write("/ws/lib/unused.star", lib+"# 2") }, 3, 0},
			{"broken", func() { write("/ws/lib/l.star", "n") }, 4, 1},
			{"removed", func() { os.Remove(dir + "/ws/lib/l.star") }, 5, 1},
			{"there again", func() { write("/ws/lib/l.star", lib) }, 6, 0},
			{"another one", func() { write("/ws/flows/above.star", `load("//lib/unused.star", "n")`+main) }, 7, 0},
			{"the one before", func() { write("/ws/lib/l.star", lib+"# 3") }, 7, 0},
		} {
			step.do()
			time.Sleep(10 * time.Second)
			if told, broken := told.Load(), broken.Load(); told != step.told || broken != step.broken {
				t.Fatalf("%s: told %d times, not %d, and %d are broken, not %d", step.name, told, step.told, broken, step.broken)
			}
		}
	})
}

// The system is asked to tell of the directories where what a link leads to may change, and where what was read may.
func TestWatchedDirectories(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"flows", "linked", "read", "read-linked"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"linked/a.star", "read-linked/b.star"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"flows/a.star": "../linked/a.star", "read/b.star": "../read-linked/b.star"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip("no links here:", err)
		}
	}
	_, dirs := filesBelow(filepath.Join(dir, "flows"))
	read := fileSet{}
	read.note(filepath.Join(dir, "read", "b.star"))
	read.again(dirs)
	for _, d := range []string{"flows", "linked", "read", "read-linked"} {
		if !dirs[filepath.Join(dir, d)] {
			t.Errorf("nothing is told of %s", d)
		}
	}
}

func TestMayMatter(t *testing.T) {
	t.Parallel()
	for name, ops := range map[string][]fsnotify.Op{
		"a.star":                    {fsnotify.Write, fsnotify.Create, fsnotify.Rename, fsnotify.Remove},
		"a.json":                    {fsnotify.Write, fsnotify.Create, fsnotify.Rename, fsnotify.Remove},
		"lib":                       {fsnotify.Create, fsnotify.Rename, fsnotify.Remove},
		"..data":                    {fsnotify.Create, fsnotify.Rename, fsnotify.Remove},
		"..2026_11_23_08_00_00.123": {fsnotify.Create, fsnotify.Rename, fsnotify.Remove},
		"senpuki.db":                {}, "senpuki.db-wal": {}, ".a.star.swp": {},
	} {
		for _, op := range []fsnotify.Op{fsnotify.Write, fsnotify.Create, fsnotify.Rename, fsnotify.Remove} {
			if got, want := mayMatter(fsnotify.Event{Name: filepath.Join("dir", name), Op: op}), slices.Contains(ops, op); got != want {
				t.Errorf("%v of %s matters: %v", op, name, got)
			}
		}
	}
}
