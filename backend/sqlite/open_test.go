// What may be opened, and what is refused in which words.

package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
	"github.com/senpuki/senpuki/backend/sqlite"
)

// refused expects that a URL cannot be opened, with these words in the error.
func refused(t *testing.T, url string, target error, words ...string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), url)
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", url)
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error is %v, want %v", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error is %q, without %q", err, w)
		}
	}
}

// run executes SQL on a file as a stranger would.
func run(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

func TestOpenURLs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{"plain.db", "sp ace%20#&.db", "naïve-世界.db"}
	for _, name := range names {
		path := filepath.Join(dir, name)
		for _, url := range []string{path, "sqlite:" + path, "sqlite:" + path + "?synchronous=normal", path + "?synchronous=full"} {
			s := open(t, url)
			if _, err := s.Sessions(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	refused(t, "", nil, "empty")
	refused(t, "sqlite:", nil, "empty")
	refused(t, ":memory:", nil, "memory.New()")
	refused(t, "sqlite::memory:?synchronous=normal", nil, "memory.New()")
	refused(t, "file:"+filepath.Join(dir, "x"), nil, "path", "without file:")
	refused(t, filepath.Join(dir, "x?mode=ro"), nil, "mode", "synchronous")
	refused(t, filepath.Join(dir, "x?synchronous=off"), nil, "off", "normal", "full")
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	open(t, "senpuki.db")
	if _, err := os.Stat("senpuki.db"); err != nil {
		t.Error(err)
	}
}

func TestNotADatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused(t, filepath.Join(dir, "missing", "x.db"), os.ErrNotExist, filepath.Join(dir, "missing"))
	refused(t, dir, backend.ErrNotDatabase, dir)

	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, text, backend.ErrNotDatabase, text)

	foreign := filepath.Join(dir, "foreign.db")
	run(t, foreign, "CREATE TABLE t (x)")
	before, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, foreign, backend.ErrNotDatabase, foreign)
	after, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if string(after) != string(before) {
		t.Error("a foreign database was changed")
	}
	marked := filepath.Join(dir, "marked.db")
	run(t, marked, "PRAGMA application_id=77; CREATE TABLE t (x)")
	refused(t, marked, backend.ErrNotDatabase, "0x4d")
	left, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	if err != nil || len(left) > 0 {
		t.Errorf("lock files beside files of others: %v %v", left, err)
	}
}

// A database of ours of which a part is missing is not taken for a file of something else.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	refused(t, path, backend.ErrDamaged, path, "backup")
}

func TestUnwritableDirectory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("permissions do not hold back this user")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "x.db"), os.ErrPermission, dir)
}

func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("permissions do not hold back this user")
	}
	path := file(t)
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	refused(t, path, backend.ErrRefused, path, "may not write it")
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	run(t, path, "PRAGMA user_version=4711")
	refused(t, path, backend.ErrNewerSchema, "4711", "up to 9", path)
}

// A release beside this one may be newer, as long as its schema lets this one work.
func TestNewerSchemaBesideThisOne(t *testing.T) {
	t.Parallel()
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	run(t, path, "PRAGMA user_version="+strconv.Itoa(9<<16|10)) // schema 10, for releases from 9 on
	run(t, path, "ALTER TABLE execution ADD COLUMN of_the_next_release TEXT")
	s := open(t, path)
	backendtest.Works(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, path, "PRAGMA user_version="+strconv.Itoa(10<<16|11))
	refused(t, path, backend.ErrNewerSchema, "schema 11", "up to 9", path)
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path)
	id, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sessions(t.Context()); err == nil {
		t.Error("a closed store reads")
	}
	if err := s.Revoke(t.Context(), id); err == nil {
		t.Error("a closed store writes")
	}
	if _, err := s.Version(t.Context()); err == nil {
		t.Error("a closed store has a version")
	}
	list, err := open(t, path).Sessions(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != id {
		t.Errorf("sessions are %v, %v", list, err)
	}
}

// Many processes that open a new file at once agree on who makes it.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := file(t)
	done := make(chan error)
	for range 8 {
		go func() {
			s, err := sqlite.Open(t.Context(), path)
			if err == nil {
				err = errors.Join(s.Check(t.Context())...)
				err = errors.Join(err, s.Close())
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// stranger is another program in the middle of a transaction, which holds the file's write lock.
func stranger(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE; DELETE FROM session"); err != nil {
		t.Fatal(err)
	}
	return db
}

// A stranger in a transaction makes us wait; none of it reaches a caller.
func TestStrangerWrites(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path)
	db := stranger(t, path)
	done := make(chan error)
	go func() {
		_, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
		done <- err
	}()
	if _, err := s.Sessions(t.Context()); err != nil { // readers do not wait
		t.Error(err)
	}
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A file that is gone takes writes as if nothing were; the heartbeat says so.
func TestFileRemovedWhileOpen(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path)
	id, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Beat(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	for _, replaced := range []bool{false, true} {
		if err := os.Rename(path, path+".away"); err != nil {
			t.Skip("an open file cannot be moved here:", err)
		}
		if replaced {
			if err := os.WriteFile(path, []byte("another one"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Beat(t.Context(), id, nil); !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), path+" was removed or replaced") {
			t.Errorf("replaced %v: %v", replaced, err)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Beat(t.Context(), id, nil); err != nil {
			t.Errorf("it is there again: %v", err)
		}
	}
}

// While a stranger holds the lock, who only looks opens, reads and closes at once, and who writes is told in words.
func TestLookWhileAStrangerWrites(t *testing.T) {
	t.Parallel()
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	stranger(t, path)
	writing := make(chan error, 1)
	writer := open(t, path)
	go func() { // it waits at the turnstile, and keeps nobody else from looking
		_, _, err := writer.Open(t.Context(), backend.Session{Host: "h"})
		writing <- err
	}()
	for range 10 { // on a busy machine more of them might take as long as the writer waits
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Sessions(t.Context())
		if err = errors.Join(err, s.Close()); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-writing:
		t.Fatalf("the looks waited for as long as the writer, which came to %v", err)
	default:
	}
	err := <-writing
	if !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), "another program has held the database's lock for 10s") || strings.Contains(err.Error(), "SQLITE") {
		t.Errorf("writing came to %v", err)
	}
}

// A claim that comes to nothing waits for no writer, and keeps none waiting, however much there is that is for others.
func TestClaimsOfNothingWhileAStrangerWrites(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path)
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d", Sources: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	id, _, err := s.Open(t.Context(), backend.Session{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Commit(t.Context(), backend.Batch{Session: id, Create: []backend.NewExecution{
		{ID: "held", Digest: "d", Edition: 1, Input: []byte("[]"), Queue: "default", Claim: true},
		{ID: "of another edition", Digest: "d", Edition: 2, Input: []byte("[]"), Queue: "default"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(t.Context(), backend.Batch{Session: id, Turns: []backend.Turn{{
		Execution: "held", Run: made.Created[0].Run, Rows: [][]byte{[]byte("[]")}, Tasks: []backend.Task{{Step: "1", Attempt: 1, Activity: "lacking", Queue: "default"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	stranger(t, path)
	for _, r := range []backend.ClaimRequest{{}, {Begun: true}, {Expired: true}} {
		r.Session, r.Queues, r.Editions, r.Limit = id, []string{"default"}, []int{1}, 9
		if claimed, err := s.Claim(t.Context(), r); err != nil || len(claimed) > 0 {
			t.Errorf("%+v came to %v, %v", r, claimed, err)
		}
	}
	claimed, err := s.ClaimTasks(t.Context(), backend.TaskRequest{Session: id, Queues: []string{"default"}, Activities: []string{"known"}, Limit: 9})
	if err != nil || len(claimed.Tasks) > 0 {
		t.Errorf("the tasks came to %v, %v", claimed, err)
	}
}

// Who may write the database, and only read the files for taking turns, which another user's command has made, takes turns.
func TestOpenLocksOfOthers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("there are no permissions of this kind, or they do not hold")
	}
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	for _, lock := range []string{"-next.lock", "-current.lock"} {
		if err := os.Chmod(path+lock, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, path)
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d", Sources: []byte("{}")}}, nil); err != nil {
		t.Error(err)
	}
}
