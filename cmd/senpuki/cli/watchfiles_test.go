package cli

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
				go lookAtFiles(ctx, dir+c.watch, nil, nil, func() { told.Add(1) })
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
